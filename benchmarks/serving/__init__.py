"""The service beside bare handlers over the same models: latency, throughput, cost."""
