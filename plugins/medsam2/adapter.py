"""MedSAM2 on CTs: its predictor for volumes in memory."""

from typing import Any

from groundbench_sdk.video import Frames, VideoAdapter


class MedSam2(VideoAdapter):
    """The authors' predictor, prompted with one box an entity."""

    def build(self, config: str, checkpoint: str | None, overrides: list[str]) -> Any:
        """Build the predictor."""
        from sam2.build_sam import build_sam2_video_predictor_npz

        return build_sam2_video_predictor_npz(config, checkpoint, device=self.device, hydra_overrides_extra=overrides)

    def open(self, frames: Frames) -> dict[str, Any]:
        """Return a state that takes the frames one by one: only the current one is ever on the device."""
        state: dict[str, Any] = self.predictor.init_state(
            frames, frames.height, frames.width, offload_video_to_cpu=True
        )
        return state
