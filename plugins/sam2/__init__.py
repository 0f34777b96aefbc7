"""SAM 2.1: Meta's segmentation model for pictures and films, prompted with one box an entity (paper, section 4.1)."""

from harness import (
    LITERAL,
    LUNG,
    BoxRule,
    Hub,
    Model,
    Params,
    Prompt,
    Resources,
    Variant,
    Weights,
    hookimpl,
    ours,
    paper,
    theirs,
)

#: A script for SAM 2 on CTs by authors of the paper: branch MedSAM2 of https://github.com/bowang-lab/MedSAM.
LAB = "exp_inference/infer_SAM2_3D_npz.py"

INPUT = LUNG.params | Params(
    image_size=theirs(1024, "sam2/configs/sam2.1/sam2.1_hiera_l.yaml:89"),
    prompt=ours("box", f"{LAB}:216 has a mask, a variant here"),
    within=ours("volume", f"the model finds where a finding ends; {LAB}:204 has the box, a variant here"),
    slices_each_way=ours(0, "no limit"),
    together=ours(False, "one entity after another; all at once is not the same"),
)
REDUCED = Params(image_size=128, slices_each_way=1)


def _size(name: str, config: str, revision: str, sha256: str, size: int) -> tuple[Variant, Weights]:
    """Return the variant of one size of the network, and its published file."""
    hub = Hub(f"facebook/sam2.1-hiera-{name}", revision, licence="Apache-2.0")
    weights = hub.file(f"sam2.1_hiera_{name.replace('-', '_')}.pt", sha256, size)
    variant = Variant(
        name,
        INPUT | {"config": f"configs/sam2.1/sam2.1_hiera_{config}.yaml", "checkpoint": weights.name},
        prompt=Prompt.BOX,
        exposure=paper("none", "Table 4"),
        summary=f"Boxes, Hiera {name}, followed slice by slice",
        weights=(weights.name,),
        reduced=REDUCED,
    )
    return variant, weights


#: The digests and numbers of bytes stand in many public records of downloads. The first is the default.
SIZES = (
    _size(
        "large",
        "l",
        "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        898_083_611,
    ),
    _size(
        "base-plus",
        "b+",
        "b7320756a13354e7530a63935656d35b2f91a290",
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        323_606_802,
    ),
    _size(
        "small",
        "s",
        "ee5bba1d82bb8749febdf90f45e84b687142ba03",
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        184_416_285,
    ),
    _size(
        "tiny",
        "t",
        "de431c4043854a71d8101e17995dfe596bf101a5",
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        156_008_466,
    ),
)


def _readings(variant: Variant) -> tuple[Variant, ...]:
    """Return the other readings of the protocol, one at a time."""
    return (
        variant.reading("literal-window", LITERAL.params),
        variant.reading("moved-boxes", boxes=BoxRule.MOVED),
        variant.reading("within-box", Params(within=theirs("box", f"{LAB}:204"))),
        variant.reading("mask-prompt", Params(prompt=theirs("mask", f"{LAB}:216"))),
    )


@hookimpl
def bench_models() -> Model:
    """Return the model."""
    return Model(
        name="sam2",
        title="SAM2",
        summary="Meta's promptable model for films; a box around each entity, followed slice by slice.",
        version="1.0.0",
        variants=tuple(variant for variant, _ in SIZES) + _readings(SIZES[0][0]),
        sees=theirs("slices with memory", "sam2/sam2_video_predictor.py"),
        resources=Resources(memory_gb=16, cpus=4, gpus=1, gpu_gb=6, shm_gb=0.25, start_minutes=5, case_minutes=240),
        licence="Apache-2.0",
        homepage="https://github.com/facebookresearch/sam2",
        citation="Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024",
        weights=tuple(weights for _, weights in SIZES),
    )
