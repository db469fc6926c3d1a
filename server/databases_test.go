package server

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neutrino/store"
	"neutrino/store/storetest"
)

// call makes a call from any goroutine and gives the answer's status and object.
func (r *running) call(method, path, body string) (int, map[string]any, error) {
	req, err := http.NewRequest(method, r.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Auth-Token", r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || len(text) == 0 {
		return resp.StatusCode, nil, err
	}
	var object map[string]any
	err = json.Unmarshal(text, &object)
	return resp.StatusCode, object, err
}

// addresses lists a port's addresses.
func addresses(port map[string]any) []string {
	var out []string
	for _, f := range port["fixed_ips"].([]any) {
		out = append(out, f.(map[string]any)["ip_address"].(string))
	}
	return out
}

// TestSmallSubnet: 64 clients of two servers on one database (of one, on SQLite) create and delete
// ports of a subnet that has room for some of them. No address is given twice or lost, and a subnet
// that is full is a conflict.
func TestSmallSubnet(t *testing.T) {
	dir, source := t.TempDir(), storetest.Empty(t)
	servers := []*running{runOn(t, dir, source)}
	if source.Kind != store.SQLite {
		servers = append(servers, runOn(t, dir, source))
	}
	smallSubnet(t, servers, nil)
}

// smallSubnet fails at a 503 if away is nil; if not, away is called and the client asks again, as Retry-After says.
func smallSubnet(t *testing.T, servers []*running, away func()) {
	t.Helper()
	// unsure says that an earlier try may have been carried out.
	try := func(r *running, method, path, body string) (status int, answer map[string]any, unsure bool, err error) {
		for range 40 {
			status, answer, err = r.call(method, path, body)
			if err != nil || status != 503 || away == nil {
				break
			}
			unsure = true
			away()
		}
		return status, answer, unsure, err
	}
	first := servers[0]
	first.do(t, "PUT", "/v2.0/quotas/"+first.project, `{"quota": {"port": -1}}`, 200)
	n := first.do(t, "POST", "/v2.0/networks", `{"network": {}}`, 201)["network"].(map[string]any)["id"].(string)
	first.do(t, "POST", "/v2.0/subnets", `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/26", "enable_dhcp": false}}`, 201)
	const room = 61 // without network, gateway and broadcast

	var mu sync.Mutex
	holder := map[string]int{}
	var made, full, unknown atomic.Int64
	var group sync.WaitGroup
	for client := range 64 {
		r := servers[client%len(servers)]
		group.Go(func() {
			var held []map[string]any
			drop := func() bool {
				port := held[0]
				held = held[1:]
				mu.Lock()
				for _, ip := range addresses(port) {
					delete(holder, ip)
				}
				mu.Unlock()
				status, answer, unsure, err := try(r, "DELETE", "/v2.0/ports/"+port["id"].(string), "")
				if err != nil || status != 204 && (status != 404 || !unsure) {
					t.Errorf("delete: %d %v %v", status, answer, err)
					return false
				}
				return true
			}
			for range 12 {
				if len(held) > 0 && rand.IntN(2) == 0 {
					if !drop() {
						return
					}
					continue
				}
				status, answer, unsure, err := try(r, "POST", "/v2.0/ports", `{"port": {"network_id": "`+n+`"}}`)
				if unsure {
					unknown.Add(1)
				}
				switch {
				case err != nil:
					t.Error(err)
					return
				case status == 409 && answer["NeutronError"].(map[string]any)["type"] == "IpAddressGenerationFailure":
					full.Add(1)
				case status == 201:
					made.Add(1)
					port := answer["port"].(map[string]any)
					held = append(held, port)
					mu.Lock()
					for _, ip := range addresses(port) {
						if other, taken := holder[ip]; taken {
							t.Errorf("clients %d and %d both have %s", other, client, ip)
						}
						holder[ip] = client
					}
					mu.Unlock()
				default:
					t.Errorf("create: %d %v", status, answer)
					return
				}
			}
			for len(held) > 0 {
				if !drop() {
					return
				}
			}
		})
	}
	group.Wait()
	if full.Load() == 0 || made.Load() < room {
		t.Errorf("%d ports were made, and %d times there was no room: the subnet was never full", made.Load(), full.Load())
	}
	left := first.do(t, "GET", "/v2.0/ports?network_id="+n, "", 200)["ports"].([]any)
	if len(left) > int(unknown.Load()) {
		t.Errorf("%d ports are left, %d may be", len(left), unknown.Load())
	}
	for _, p := range left {
		first.do(t, "DELETE", "/v2.0/ports/"+p.(map[string]any)["id"].(string), "", 204)
	}
	given, maybe := 0, 0
	for i := 0; ; i++ {
		status, answer, unsure, err := try(servers[i%len(servers)], "POST", "/v2.0/ports", `{"port": {"network_id": "`+n+`"}}`)
		if unsure {
			maybe++
		}
		if status != 201 {
			if err != nil || status != 409 || given > room || given+maybe < room {
				t.Fatalf("%d of %d addresses were given, then: %d %v %v", given, room, status, answer, err)
			}
			break
		}
		given++
	}
}

// TestDatabaseLost: while the database is away requests get 503; when it is back, all is well again.
func TestDatabaseLost(t *testing.T) {
	r := run(t)
	start := storetest.Stop(t)
	path := "/v2.0/networks"
	for _, c := range []struct{ method, body string }{{"GET", ""}, {"POST", `{"network": {}}`}} {
		if status, answer, err := r.call(c.method, path, c.body); status != 503 || err != nil {
			t.Errorf("%s without the database: %d %v %v", c.method, status, answer, err)
		}
	}
	start()
	for _, c := range []struct {
		method, body string
		want         int
	}{{"GET", "", 200}, {"POST", `{"network": {}}`, 201}} {
		for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			status, answer, err := r.call(c.method, path, c.body)
			if status == c.want {
				break
			}
			if err != nil || status != 503 || time.Since(began) > 10*time.Second {
				t.Fatalf("%s after the database came back: %d %v %v", c.method, status, answer, err)
			}
		}
	}
}
