"""Which parts of each model training changes, held against what ``trained.py`` finds."""

from __future__ import annotations

#: Beginnings of what the paper trains, and of what it leaves as it is, in each model's trained variant.
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "biomedparse": (
        (
            "network.backbone",
            "network.sem_seg_head.pixel_decoder",
            "network.sem_seg_head.predictor.lang_encoder",
            "network.sem_seg_head.predictor.transformer_cross_attention_layers",
        ),
        ("network.sem_seg_head.predictor.spatial_embed",),
    ),
    "biomedparse-v2": (
        ("network.model.backbone", "network.model.sem_seg_head.pixel_decoder", "network.model.sem_seg_head.predictor"),
        (),
    ),
    "medsam2-text": (
        (
            "network.image_encoder",
            "network.memory_attention",
            "network.memory_encoder",
            "network.sam_mask_decoder",
            "network.text_projection",
        ),
        ("network.sam_prompt_encoder.mask_downscaling", "language"),
    ),
    "segvol": (
        ("network.segvol.image_encoder", "network.segvol.mask_decoder"),
        ("network.segvol.text_encoder",),  # with its projection, which upstream never trains
    ),
    "sat": (("network.vision", "network.text.text_tower.biolord.encoder", "network.text.projection_layer"), ()),
    "voxtell": (
        (
            "network.net.encoder",
            "network.net.decoder",
            "network.net.transformer_decoder",
            "network.net.project_text_embed",
            "network.net.project_bottleneck_embed",
        ),
        ("language",),
    ),
}

#: Parameters with which two steps of a model's training can be seen, in place of the declared ones: SGD at the declared
#: rates moves norms deep in the encoder, which begin at 1, by less than float32 can hold. Without decay, nothing but a
#: gradient moves a weight.
VISIBLE: dict[str, dict[str, float]] = {"voxtell": {"rate": 0.1, "encoder_rate": 1.0, "decay": 0.0}}
