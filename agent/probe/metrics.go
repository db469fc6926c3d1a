package probe

import "github.com/prometheus/client_golang/prometheus"

var (
	success = prometheus.NewDesc("neutrino_agent_probe_success", "1 when the host's last probe of what it serves succeeded. The target is a network, a router or another host.",
		[]string{"probe", "target"}, nil)
	took = prometheus.NewDesc("neutrino_agent_probe_seconds", "How long the last probe of a service took.", []string{"probe", "target"}, nil)
)

// Describe implements prometheus.Collector.
func (m *Manager) Describe(out chan<- *prometheus.Desc) {
	out <- success
	out <- took
}

// Collect implements prometheus.Collector.
func (m *Manager) Collect(out chan<- prometheus.Metric) {
	for _, r := range m.Results() {
		value := 0.0
		if r.OK {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(success, prometheus.GaugeValue, value, r.Probe, r.Target)
		if r.Took > 0 {
			out <- prometheus.MustNewConstMetric(took, prometheus.GaugeValue, r.Took.Seconds(), r.Probe, r.Target)
		}
	}
}
