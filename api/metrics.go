package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the door's counters, in a registry of their own.
type metrics struct {
	handler  http.Handler
	inFlight prometheus.Gauge
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(more []prometheus.Collector) *metrics {
	registry := prometheus.NewRegistry()
	m := &metrics{
		handler:  promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "neutrino_api_requests_in_flight", Help: "Requests being served."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "neutrino_api_requests_total", Help: "Requests served."},
			[]string{"method", "collection", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "neutrino_api_request_seconds", Help: "Time to serve a request.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}, []string{"method", "collection"}),
	}
	registry.MustRegister(m.inFlight, m.requests, m.seconds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(more...)
	return m
}

// count notes a finished request. Only collections that exist become labels.
func (m *metrics) count(r *request, took time.Duration) {
	collection := "other"
	if r.door.collections[r.collection] != nil || r.collection == "quotas" || r.collection == "extensions" {
		collection = r.collection
	}
	m.inFlight.Dec()
	m.requests.WithLabelValues(method(r.Method), collection, strconv.Itoa(r.status)).Inc()
	m.seconds.WithLabelValues(method(r.Method), collection).Observe(took.Seconds())
}

// method is a method's name as a label; the client's own inventions are one.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead:
		return name
	}
	return "other"
}
