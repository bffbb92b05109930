"""The Alibaba Cloud ECI provider: pods become elastic container instances."""
