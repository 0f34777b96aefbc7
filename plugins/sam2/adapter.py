"""SAM 2.1 on CTs: Meta's own video predictor, given frames in memory in place of a folder of pictures."""

from typing import Any

from groundbench_sdk.video import Frames, VideoAdapter


class Sam2(VideoAdapter):
    """Meta's predictor, prompted with one box an entity."""

    def build(self, config: str, checkpoint: str | None, overrides: list[str]) -> Any:
        """Build the predictor, and let it take frames where it would read a folder or a film."""
        from sam2 import sam2_video_predictor
        from sam2.build_sam import build_sam2_video_predictor

        sam2_video_predictor.load_video_frames = lambda video_path, **_: video_path
        return build_sam2_video_predictor(config, checkpoint, device=self.device, hydra_overrides_extra=overrides)

    def open(self, frames: Frames) -> dict[str, Any]:
        """Return a state that takes the frames one by one: only the current one is ever on the device."""
        video = (frames, frames.height, frames.width)
        state: dict[str, Any] = self.predictor.init_state(video_path=video, offload_video_to_cpu=True)
        return state
