package nova

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	sent, failed *prometheus.CounterVec
	troubles     prometheus.Counter
	waiting, lag prometheus.Gauge
}

func newMetrics() metrics {
	return metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "neutrino_nova_events_sent_total", Help: "Events that Nova has taken."}, []string{"event"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "neutrino_nova_events_failed_total", Help: "Events that Nova did not want, by its code: 404 is an instance that it does not have."}, []string{"event", "code"}),
		troubles: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "neutrino_nova_troubles_total", Help: "Times that Nova or Keystone could not be asked; the events wait."}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "neutrino_nova_events_waiting", Help: "Events that Nova has still to be told; 0 on servers that do not send."}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "neutrino_nova_lag_seconds", Help: "Age of the oldest event that Nova has still to be told."}),
	}
}

// Collectors are the metrics of telling Nova.
func (s *Sender) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.sent, s.metrics.failed, s.metrics.troubles, s.metrics.waiting, s.metrics.lag}
}
