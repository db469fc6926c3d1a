package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus may read of an agent.
type metrics struct {
	registry  *prometheus.Registry
	connected prometheus.Gauge
	items     prometheus.Gauge
	unknown   prometheus.Counter
	sent      prometheus.Counter
	apply     *prometheus.HistogramVec
	failed    *prometheus.CounterVec
	converged *prometheus.GaugeVec
}

func newMetrics(more []prometheus.Collector) *metrics {
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{Name: "neutrino_agent_connected", Help: "1 while a server's stream is followed."}),
		items:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "neutrino_agent_items", Help: "Items that the host should know."}),
		unknown:   prometheus.NewCounter(prometheus.CounterOpts{Name: "neutrino_agent_unknown_messages_total", Help: "Messages of a newer server that were passed over."}),
		sent:      prometheus.NewCounter(prometheus.CounterOpts{Name: "neutrino_agent_reports_sent_total", Help: "Reports that a server has taken."}),
		apply: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "neutrino_agent_apply_seconds", Help: "Time that a manager took to apply a batch.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"manager"}),
		failed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "neutrino_agent_apply_errors_total", Help: "Batches that a manager could not apply."}, []string{"manager"}),
		converged: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "neutrino_agent_converged_seconds", Help: "Time from the agent's start to the first applied state."}, []string{"manager"}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.connected, m.items, m.unknown, m.sent, m.apply, m.failed, m.converged)
	m.registry.MustRegister(more...)
	return m
}

// serveMetrics listens where the options say.
func (a *Agent) serveMetrics() (stop func(), err error) {
	if a.options.Metrics == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", a.options.Metrics)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.Metrics())
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() {
		_ = web.Close()
		<-done
	}, nil
}

// Metrics serves what Prometheus may read.
func (a *Agent) Metrics() http.Handler {
	return promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{})
}
