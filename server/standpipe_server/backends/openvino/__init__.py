"""Models on OpenVINO, exported by Optimum."""
