package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"neutrino/agent"
	"neutrino/agent/inspect"
	"neutrino/desired"
)

// reportedBy says which server is asked, and how.
type reportedBy struct{ server, secretFile, cafile string }

// configured takes what flags do not say from the agent's files, or, when none are given, from what the agent of this
// host, if there is one, has kept.
func (b *reportedBy) configured(flags *pflag.FlagSet, files *configFlags, stateDir string) error {
	if !files.given() {
		if layout, err := inspect.ReadLayout(stateDir); err == nil && !flags.Changed("cafile") {
			b.cafile = layout.CAFile
		}
		return nil
	}
	s := newAgentSettings()
	if _, err := files.load(s.options()); err != nil {
		return err
	}
	if !flags.Changed("secret-file") {
		b.secretFile = s.secretFile
	}
	if !flags.Changed("cafile") {
		b.cafile = s.cafile
	}
	return nil
}

// showReported shows what a server wants of a host and what the host has reported to it. The exit status is 1 when
// something is not up.
func showReported(ctx context.Context, out io.Writer, from reportedBy, host string, asJSON, all bool) error {
	secret, err := os.ReadFile(from.secretFile)
	if err != nil {
		return fmt.Errorf("read the agent secret: %w", err)
	}
	trust, err := agent.Trust(from.cafile)
	if err != nil {
		return err
	}
	v, err := askServer(ctx, trust, from.server, strings.TrimSpace(string(secret)), host)
	if err != nil {
		return err
	}
	lines, wrong := reported(v, all)
	if asJSON {
		err = writeJSON(out, v)
	} else {
		_, err = io.WriteString(out, lines)
	}
	if err == nil && wrong > 0 {
		err = exitStatus(1)
	}
	return err
}

func askServer(ctx context.Context, trust *tls.Config, server, secret, host string) (v desired.HostView, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+"/agent/v1/hosts/"+url.PathEscape(host), nil)
	if err != nil {
		return v, err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return v, fmt.Errorf("ask the server: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return v, fmt.Errorf("the server answers %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("read the server's answer: %w", err)
	}
	return v, nil
}

// reported writes for people what of a host is not up, or with all everything that it reports or should report, and
// counts the former.
func reported(v desired.HostView, all bool) (text string, wrong int) {
	var b strings.Builder
	following := "follows this server"
	if !v.Following {
		following = "does not follow this server: what it reported is old, or told to another one"
	}
	fmt.Fprintf(&b, "host %s %s (revision %d)\n", v.Host, following, v.Revision)
	counts := map[desired.Kind]int{}
	said := map[desired.Key][]desired.Report{}
	for _, r := range v.Reports {
		key := desired.Key{Kind: r.Kind, ID: r.ID}
		said[key] = append(said[key], r)
	}
	for _, m := range v.Items {
		key := m.Item.Key()
		counts[key.Kind]++
		p, isPort := m.Item.(*desired.Port)
		if said[key] == nil && (isPort && p.Host == v.Host || key.Kind == desired.KindRouter) {
			said[key] = []desired.Report{} // nothing is said of it yet
		}
	}
	var words []string
	for kind, n := range counts {
		words = append(words, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(words)
	fmt.Fprintf(&b, "desired: %s\n", strings.Join(words, ", "))
	var lines []string
	for key, reports := range said {
		if len(reports) == 0 {
			wrong++
			lines = append(lines, fmt.Sprintf("%s %s  the host has not reported it yet\n", key.Kind, key.ID))
		}
		for _, r := range reports {
			switch {
			case !r.Up:
				wrong++
				lines = append(lines, fmt.Sprintf("%s %s  %s: not up: %s\n", r.Kind, r.ID, r.Layer, r.Reason))
			case all:
				lines = append(lines, fmt.Sprintf("%s %s  %s: up at revision %d\n", r.Kind, r.ID, r.Layer, r.Revision))
			}
		}
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, ""))
	fmt.Fprintf(&b, "%d not up\n", wrong)
	return b.String(), wrong
}
