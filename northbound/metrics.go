package northbound

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Stats are counts since the start, and what the last comparison of the whole database has found.
type Stats struct {
	Written int // rows that were added, changed or removed

	// Of them, rows that were not as they should be though no fact has changed: others have lost, added or changed them.
	MendedMissing, MendedExtra, MendedDifferent int

	Missing, Extra, Different int // what the last comparison has mended; one by which a server begins to write does not count
	Foreign                   int // rows among ours that are not ours, or not to be removed yet
	Checked                   time.Time
	CheckTook                 time.Duration
	Refused                   int  // rows that the database does not take, and that are left out
	Writing                   bool // this server is the one that writes
}

type stats struct {
	mu sync.Mutex
	Stats
}

// Stats tells how it goes.
func (w *Writer) Stats() Stats {
	writing := w.client.Ready() == nil
	w.stats.mu.Lock()
	defer w.stats.mu.Unlock()
	s := w.stats.Stats
	s.Writing = writing
	return s
}

// metrics are what is measured when it happens.
type metrics struct {
	transaction prometheus.Histogram
	commit      prometheus.Histogram
	failed      prometheus.Counter
}

func newMetrics() metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 2, 15)
	return metrics{
		transaction: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "neutrino_ovn_transaction_seconds", Help: "How long a transaction with OVN's northbound database took.", Buckets: buckets}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "neutrino_ovn_commit_seconds", Help: "From the news of a committed change to the end of the northbound transaction that has its rows.", Buckets: buckets}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "neutrino_ovn_transactions_failed_total", Help: "Transactions that OVN's northbound database has refused, or that were lost with the connection."}),
	}
}

var (
	descWriting = prometheus.NewDesc("neutrino_ovn_writing", "1 on the server that writes OVN's northbound database.", nil, nil)
	descWritten = prometheus.NewDesc("neutrino_ovn_rows_written_total", "Rows of OVN's northbound database that this server has added, changed or removed.", nil, nil)
	descMended  = prometheus.NewDesc("neutrino_ovn_rows_mended_total",
		"Rows that were not as they should be, though nothing of ours had changed: missing, extra or different. They were mended.", []string{"difference"}, nil)
	descFound = prometheus.NewDesc("neutrino_ovn_check_rows",
		"What the last comparison of the whole northbound database has found: missing, extra and different rows, which it mended, and foreign ones, which stay.",
		[]string{"difference"}, nil)
	descChecked = prometheus.NewDesc("neutrino_ovn_check_timestamp_seconds", "When the last comparison of the whole northbound database ended.", nil, nil)
	descRefused = prometheus.NewDesc("neutrino_ovn_rows_refused", "Rows that OVN's northbound database does not take now. They are left out; the log names them.", nil, nil)
	descTook    = prometheus.NewDesc("neutrino_ovn_check_seconds", "How long that took, beside other work.", nil, nil)
)

// collector shows Stats.
type collector struct{ w *Writer }

// Collectors are the metrics of keeping the northbound database.
func (w *Writer) Collectors() []prometheus.Collector {
	return []prometheus.Collector{collector{w}, w.metrics.transaction, w.metrics.commit, w.metrics.failed}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descWriting, descWritten, descMended, descFound, descChecked, descTook, descRefused} {
		out <- d
	}
}

// Collect implements prometheus.Collector. A server that has compared nothing yet shows nothing of that.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.w.Stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	writing := 0.0
	if s.Writing {
		writing = 1
	}
	gauge(descWriting, writing)
	count(descWritten, s.Written)
	gauge(descRefused, float64(s.Refused))
	count(descMended, s.MendedMissing, "missing")
	count(descMended, s.MendedExtra, "extra")
	count(descMended, s.MendedDifferent, "different")
	if s.Checked.IsZero() {
		return
	}
	gauge(descFound, float64(s.Missing), "missing")
	gauge(descFound, float64(s.Extra), "extra")
	gauge(descFound, float64(s.Different), "different")
	gauge(descFound, float64(s.Foreign), "foreign")
	gauge(descChecked, float64(s.Checked.UnixNano())/1e9)
	gauge(descTook, s.CheckTook.Seconds())
}
