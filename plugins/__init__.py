"""The models that come with groundbench, each written as a third party would."""
