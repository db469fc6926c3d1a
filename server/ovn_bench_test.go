package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neutrino/dataplane/ovndb"
	"neutrino/dataplane/ovndb/ovntest"
	"neutrino/service/network"
)

// BenchmarkOVNCommit makes ports, one after another: the time from a create's answer, when it is committed, until a
// client of the northbound database is told of the port's row, which is after the transaction's end.
func BenchmarkOVNCommit(b *testing.B) {
	central := ovntest.Start(b, true)
	s := openWith(b, func(o *ServiceOptions) {
		o.Network.Mechanisms, o.Network.MetadataPorts, o.Network.ProjectTypes = []string{network.OVN}, true, []string{"geneve"}
	})
	s.Engine.Quotas = map[string]int{}
	at := DefaultOVN()
	at.North, at.South = ovndb.Options{Endpoints: []string{central.North()}}, ovndb.Options{Endpoints: []string{central.South()}}
	log := slog.New(slog.DiscardHandler)
	x := newOVN(s, at, 75*time.Second, log)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = x.run(ctx) })
	b.Cleanup(func() { cancel(); group.Wait() })
	came := make(chan string, 100)
	watch := ovndb.New(ovndb.Options{
		Endpoints: []string{central.North()}, Database: "OVN_Northbound", Tables: map[string][]string{"Logical_Switch_Port": {"name"}}, Log: log,
		Changed: func(_ *ovndb.View, changes []ovndb.Change) {
			for _, ch := range changes {
				if ch.Inserted {
					came <- ch.Row.One["name"]
				}
			}
		},
	})
	group.Go(func() { _ = watch.Run(ctx) })
	for deadline := time.Now().Add(time.Minute); !strings.Contains(central.NB(b, "get", "NB_Global", ".", "external_ids"), "neutrino:writes"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("the database is not taken over")
		}
	}
	n := create(b, s.Network.Networks, admin, `{"network": {"name": "inner"}}`)["id"].(string)
	create(b, s.Network.Subnets, admin, `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/8"}}`)
	await := func(id string) {
		limit := time.After(time.Minute)
		for {
			select {
			case name := <-came:
				if name == id {
					return
				}
			case <-limit:
				b.Fatal("the row does not come")
			}
		}
	}
	await(create(b, s.Network.Ports, admin, `{"port": {"network_id": "`+n+`"}}`)["id"].(string))
	var took []time.Duration
	for b.Loop() {
		id := create(b, s.Network.Ports, admin, `{"port": {"network_id": "`+n+`"}}`)["id"].(string)
		began := time.Now()
		await(id)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
