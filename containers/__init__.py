"""What images are made from: the SDK for adapters, shared bases, engine set-up."""
