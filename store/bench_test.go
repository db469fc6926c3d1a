package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"neutrino/store"
)

// BenchmarkWriters is the price of a journal in commit order: transactions of one row and one entry by one writer,
// and by fifty at once, who wait for one another. It reports how long one waits and how many are done in a second.
func BenchmarkWriters(b *testing.B) {
	for _, writers := range []int{1, 50} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			db := ready(b)
			var mu sync.Mutex
			var took []time.Duration
			next := 0
			began := time.Now()
			var group sync.WaitGroup
			for range writers {
				group.Go(func() {
					for {
						mu.Lock()
						next++
						n := next
						mu.Unlock()
						if n > b.N {
							return
						}
						asked := time.Now()
						err := db.Update(context.Background(), func(tx *store.Tx) error {
							id := fmt.Sprint(n)
							if _, err := tx.Exec("INSERT INTO things (id, n) VALUES (?, ?)", id, n); err != nil {
								return err
							}
							tx.Change("thing", id)
							return nil
						})
						if err != nil {
							b.Error(err)
							return
						}
						mu.Lock()
						took = append(took, time.Since(asked))
						mu.Unlock()
					}
				})
			}
			group.Wait()
			elapsed := time.Since(began)
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
			b.ReportMetric(float64(len(took))/elapsed.Seconds(), "commits/s")
		})
	}
}
