package keystone

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"neutrino/identity"
)

type metrics struct {
	cached  prometheus.Counter
	answers *prometheus.CounterVec
	took    prometheus.Histogram
}

func newMetrics() metrics {
	return metrics{
		cached: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "neutrino_keystone_cached_total", Help: "Tokens that were known from an earlier answer of Keystone."}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "neutrino_keystone_answers_total", Help: "What came of asking Keystone about a token: valid, refused or unavailable."}, []string{"answer"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "neutrino_keystone_seconds", Help: "How long Keystone took to answer about a token.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 13)}),
	}
}

func (m metrics) asked(err error, took time.Duration) {
	answer := "valid"
	switch {
	case errors.Is(err, identity.ErrInvalidToken):
		answer = "refused"
	case err != nil:
		answer = "unavailable"
	}
	m.answers.WithLabelValues(answer).Inc()
	m.took.Observe(took.Seconds())
}

// Collectors are the metrics of asking Keystone.
func (a *Authenticator) Collectors() []prometheus.Collector {
	return []prometheus.Collector{a.metrics.cached, a.metrics.answers, a.metrics.took}
}
