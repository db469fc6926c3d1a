package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"neutrino/store"
	"neutrino/store/storetest"
)

// running is a whole server on loopback, with an administrator's token.
type running struct {
	url, token, project string
}

// run starts a server and stops it when the test ends.
func run(t testing.TB) *running {
	t.Helper()
	return runOn(t, t.TempDir(), storetest.Empty(t))
}

// runOn starts a server in a state directory, which others may use too, on a database.
func runOn(t testing.TB, dir string, source store.Source) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	url := "http://" + l.Addr().String()
	go func() {
		done <- Run(ctx, Options{StateDir: dir, Database: Database{Source: source, AutoUpgrade: true}, PublicURL: url, Services: DefaultServices(), Listeners: []net.Listener{l}, Log: failures(t)})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r := &running{url: url}
	for range 3000 {
		if resp, err := http.Get(url + "/healthcheck"); err == nil {
			_ = resp.Body.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.login(t, filepath.Join(dir, "clouds.yaml"))
	return r
}

// failures shows in a test's output what a server logs as an error: the reason of an answer 500.
func failures(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

// login gets the administrator's token as a client does.
func (r *running) login(t testing.TB, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var clouds struct {
		Clouds map[string]struct {
			Auth map[string]string `yaml:"auth"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(data, &clouds); err != nil {
		t.Fatal(err)
	}
	auth := clouds.Clouds["neutrino-admin"].Auth
	body := fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": %q, "domain": {"name": "Default"}, "password": %q}}},
		"scope": {"project": {"name": %q, "domain": {"name": "Default"}}}}}`, auth["username"], auth["password"], auth["project_name"])
	resp, err := http.Post(r.url+"/identity/v3/auth/tokens", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct {
		Token struct {
			Project struct {
				ID string `json:"id"`
			} `json:"project"`
		} `json:"token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("login: %s %v", resp.Status, err)
	}
	r.token, r.project = resp.Header.Get("X-Subject-Token"), out.Token.Project.ID
}

// do makes a call and gives the answer's object.
func (r *running) do(t testing.TB, method, path, body string, want int) map[string]any {
	t.Helper()
	req, err := http.NewRequest(method, r.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, b, err)
	}
	var m map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return m
}

// BenchmarkLoad is a small load on a whole server over HTTP: four clients at once create ports, one
// lists them. It reports the middle and the slowest hundredth of the answers.
func BenchmarkLoad(b *testing.B) {
	r := run(b)
	r.do(b, "PUT", "/v2.0/quotas/"+r.project, `{"quota": {"port": -1}}`, 200)
	n := r.do(b, "POST", "/v2.0/networks", `{"network": {}}`, 201)["network"].(map[string]any)["id"].(string)
	r.do(b, "POST", "/v2.0/subnets", `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/8"}}`, 201)
	port := `{"port": {"network_id": "` + n + `"}}`

	b.Run("create port", func(b *testing.B) {
		var mu sync.Mutex
		var took []time.Duration
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				began := time.Now()
				r.do(b, "POST", "/v2.0/ports", port, 201)
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
		percentiles(b, took)
	})
	b.Run("list ports", func(b *testing.B) {
		for len(r.do(b, "GET", "/v2.0/ports?fields=id", "", 200)["ports"].([]any)) < 5000 {
			r.do(b, "POST", "/v2.0/ports", `{"ports": [`+port[8:len(port)-1]+string(bytes.Repeat([]byte(", "+port[8:len(port)-1]), 249))+`]}`, 201)
		}
		var took []time.Duration
		for b.Loop() {
			began := time.Now()
			r.do(b, "GET", "/v2.0/ports", "", 200)
			took = append(took, time.Since(began))
		}
		percentiles(b, took)
		var mem runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.HeapAlloc)/(1<<20), "MB-heap")
	})
}

func percentiles(b *testing.B, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}

// BenchmarkParallelPorts asks a whole server over HTTP for 250 ports of one subnet at once, one a
// request, and reports how long the last of them waits.
func BenchmarkParallelPorts(b *testing.B) {
	const count = 250
	r := run(b)
	r.do(b, "PUT", "/v2.0/quotas/"+r.project, `{"quota": {"port": -1, "network": -1, "subnet": -1}}`, 200)
	for b.Loop() {
		b.StopTimer()
		n := r.do(b, "POST", "/v2.0/networks", `{"network": {}}`, 201)["network"].(map[string]any)["id"].(string)
		r.do(b, "POST", "/v2.0/subnets", `{"subnet": {"network_id": "`+n+`", "ip_version": 4, "cidr": "10.0.0.0/22"}}`, 201)
		b.StartTimer()
		var group sync.WaitGroup
		for range count {
			group.Go(func() {
				status, answer, err := r.call("POST", "/v2.0/ports", `{"port": {"network_id": "`+n+`"}}`)
				if err != nil || status != 201 {
					b.Errorf("%d %v %v", status, answer, err)
				}
			})
		}
		group.Wait()
	}
	b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "ports/s")
}
