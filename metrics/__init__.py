"""What operators look at: counters, gauges and histograms, for Prometheus and as JSON."""
