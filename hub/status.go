package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"neutrino/desired"
)

// report notes what a host says and finds the statuses that follow.
func (h *Hub) report(r desired.Reports) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Epoch != h.epoch {
		return // of another life of ours: the host will say it again
	}
	x := h.hosts[r.Host]
	if x == nil {
		return
	}
	if r.Full {
		for thing, by := range h.reports {
			for key := range by {
				if strings.HasPrefix(key, r.Host+"/") {
					delete(by, key)
				}
			}
			if len(by) == 0 {
				delete(h.reports, thing)
			}
		}
		x.reported = true
	}
	judged := map[Thing]bool{}
	for _, report := range r.Reports {
		thing := Thing{report.Kind, report.ID}
		key := r.Host + "/" + report.Layer
		switch {
		case report.Gone:
			delete(h.reports[thing], key)
			if len(h.reports[thing]) == 0 {
				delete(h.reports, thing)
			}
		case h.reports[thing] == nil:
			h.reports[thing] = map[string]desired.Report{key: report}
		default:
			h.reports[thing][key] = report
		}
		judged[thing] = true
	}
	if r.Full { // what the host no longer speaks of may have been up
		for id, p := range h.index.ports {
			if p.Host == r.Host {
				judged[Thing{desired.KindPort, id}] = true
			}
		}
	}
	for thing := range judged {
		h.judge(thing)
	}
}

// judge compares a thing's status with what hosts report, and has a change written.
func (h *Hub) judge(thing Thing) {
	now, known := h.found(thing)
	if !known {
		return
	}
	have, there := h.statuses[thing]
	if !there || have == now {
		delete(h.pending, thing)
		return
	}
	h.pending[thing] = now
	select {
	case h.flush <- struct{}{}:
	default:
	}
}

// found is the status that follows from the reports. It is not known while the host has not told
// everything yet: then nothing changes, for traffic goes on.
func (h *Hub) found(thing Thing) (Status, bool) {
	switch thing.Kind {
	case desired.KindPort:
		p := h.index.ports[thing.ID]
		if p == nil || p.Host == "" || !h.heard(p.Host) {
			return Status{}, false
		}
		return portStatus(p, h.dhcpHosts(p), h.reports[thing]), true
	case desired.KindRouter:
		r := h.index.routers[thing.ID]
		if r == nil || r.Host == "" || !h.heard(r.Host) {
			return Status{}, false
		}
		// The original's routers are ACTIVE from the beginning; the reason says what is missing.
		status := layer(h.reports[thing], r.Host, desired.LayerL3)
		return Status{"ACTIVE", status.Reason}, true
	case desired.KindFloatingIP:
		for key, report := range h.reports[thing] {
			host, _, _ := strings.Cut(key, "/")
			if r := h.routerOf(thing.ID); r != nil && r.Host == host {
				return one(report), true
			}
		}
	}
	return Status{}, false
}

func (h *Hub) routerOf(floating string) *desired.Router {
	for _, r := range h.index.routers {
		if slices.ContainsFunc(r.FloatingIPs, func(f desired.FloatingIP) bool { return f.ID == floating }) {
			return r
		}
	}
	return nil
}

func (h *Hub) heard(host string) bool {
	x := h.hosts[host]
	return x != nil && x.reported
}

// dhcpHosts are the hosts that serve DHCP to the port; none when its addresses need no DHCP.
func (h *Hub) dhcpHosts(p *desired.Port) []string {
	n := h.index.networks[p.NetworkID]
	if n == nil || strings.HasPrefix(p.DeviceOwner, "network:") {
		return nil
	}
	served := slices.ContainsFunc(p.FixedIPs, func(f desired.FixedIP) bool {
		return slices.ContainsFunc(n.Subnets, func(s desired.Subnet) bool { return s.ID == f.SubnetID && s.EnableDHCP })
	})
	if !served {
		return nil
	}
	var hosts []string
	for id := range h.index.portsOfNetwork[p.NetworkID] {
		if d := h.index.ports[id]; d.DeviceOwner == "network:dhcp" && d.Host != "" {
			hosts = append(hosts, d.Host)
		}
	}
	return hosts
}

// portStatus is ACTIVE when the bound host has wired the port and, where the port gets its address by
// DHCP, a host that serves it says so. Reports are by "host/layer". Pure.
func portStatus(p *desired.Port, dhcp []string, reports map[string]desired.Report) Status {
	status := layer(reports, p.Host, desired.LayerL2)
	if status.Status != "ACTIVE" || len(dhcp) == 0 {
		return status
	}
	var reasons []string
	for _, host := range dhcp {
		served := layer(reports, host, desired.LayerDHCP)
		if served.Status == "ACTIVE" {
			return served
		}
		reasons = append(reasons, served.Reason)
	}
	slices.Sort(reasons)
	return Status{"DOWN", strings.Join(reasons, "; ")}
}

func layer(reports map[string]desired.Report, host, name string) Status {
	report, there := reports[host+"/"+name]
	if !there {
		return Status{"DOWN", fmt.Sprintf("waiting for host %s (%s)", host, name)}
	}
	s := one(report)
	if s.Reason != "" {
		s.Reason = "host " + host + ": " + s.Reason
	}
	return s
}

func one(r desired.Report) Status {
	if r.Up {
		return Status{Status: "ACTIVE"}
	}
	return Status{"DOWN", r.Reason}
}

// writeStatuses writes changed statuses in batches, and tries again what could not be written.
func (h *Hub) writeStatuses(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.flush:
		}
		h.mu.Lock()
		batch := h.pending
		h.pending = map[Thing]Status{}
		h.mu.Unlock()
		changes := make([]StatusChange, 0, len(batch))
		for thing, status := range batch {
			changes = append(changes, StatusChange{thing, status})
		}
		if len(changes) == 0 {
			continue
		}
		err := h.sink.SetStatus(ctx, changes)
		h.mu.Lock()
		if err == nil {
			for thing, status := range batch {
				if _, there := h.statuses[thing]; there {
					h.statuses[thing] = status
				}
			}
			h.mu.Unlock()
			continue
		}
		later := h.pending
		h.pending = batch
		maps.Copy(h.pending, later)
		h.mu.Unlock()
		h.log.Error("statuses could not be written; trying again", "changes", len(changes), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		select {
		case h.flush <- struct{}{}:
		default:
		}
	}
}
