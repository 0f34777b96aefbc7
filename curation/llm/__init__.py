"""The language-model path: any OpenAI-compatible endpoint, structured answers, every one of them checked and kept."""
