package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"neutrino/lab"
	"neutrino/lab/client"
	"neutrino/lab/probe"
)

// patience with what must happen: generous, for the machine may be busy with other stories.
const patience = 20 * time.Second

// word is a command of the scripts; neg says that "!" stood before it.
type word = func(ts *testscript.TestScript, neg bool, args []string)

// words are what scripts may say besides testscript's own.
var words = map[string]word{
	// up [--hosts N] raises the lab.
	"up": func(ts *testscript.TestScript, neg bool, args []string) { plain(ts, neg, args, 0); of(ts).up(ts, args) },
	// make USER COLLECTION NAME [key=text | key:=JSON]… creates a resource; $NAME becomes its id,
	// $NAME_project its project, and $NAME_mac, $NAME_ip its addresses if it has any.
	"make": create,
	// change USER COLLECTION/ID [key=text | key:=JSON]… updates one.
	"change": change,
	// act USER COLLECTION/ID/ACTION [key=text | key:=JSON]… does a router's or another's action.
	"act": act,
	// remove USER COLLECTION/ID deletes one.
	"remove": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 2)
		_, err := of(ts).as(ts, args[0]).Do(context.Background(), "DELETE", "/"+args[1], nil)
		ts.Check(err)
	},
	// show USER PATH writes what the API answers to a GET.
	"show": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 2)
		o, err := of(ts).as(ts, args[0]).Do(context.Background(), "GET", "/"+args[1], nil)
		ts.Check(err)
		write(ts, o)
	},
	// shows USER PATH REGEXP waits until the answer to a GET matches.
	"shows": shows,
	// refused STATUS USER METHOD PATH [key=text | key:=JSON]… [@FILE] expects the API to refuse with that
	// status and an error in the API's form. @FILE sends a file as it is.
	"refused": refused,
	// active USER PORT waits until a port is ACTIVE; with "!" until it is DOWN.
	"active": active,
	// boot HOST NAME PORT boots an instance and waits for its address; --no-wait does not.
	"boot": boot,
	// ping FROM TO: an answer comes in time; with "!": none of three is answered.
	"ping": ping,
	// reach FROM TO ADDRESS tcp|udp PORT [LISTENED]: a listener in TO is reached at ADDRESS from FROM; with "!": not. Where
	// ports are translated, it listens at LISTENED.
	"reach": reaches,
	// frame AT FROM flags…: a frame of FROM is seen at AT in time; with "!": not. Flags are those of lab probe send.
	"frame": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, false, args, 3)
		if neg {
			ts.Check(stops["frame"](ts, args))
			return
		}
		ts.Check(until(patience, func() error {
			seen, err := of(ts).cloud(ts).Seen(args[0], args[1], args[2:])
			ts.Check(err)
			if !seen {
				err = fmt.Errorf("not seen at %s", args[0])
			}
			return err
		}))
	},
	// ends ping|reach|frame …: what passed until now ends soon, as these words say it with "!".
	"ends": ends,
	// pinging FROM TO starts ten pings a second; lost FROM MAX ends them: at most MAX were lost.
	"pinging": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 2)
		s := of(ts)
		p, err := s.cloud(ts).StartPing(args[0], args[1])
		ts.Check(err)
		s.pings[args[0]] = p
	},
	"lost": losses,
	// silent FROM SECONDS ends them: answers came, and then none for so long.
	"silent": silent,
	// calling USER NETWORK makes ports there, ten a second, and takes every other one away again; called MIN ends it: no call
	// failed, MIN were made at least, and those that were not taken away are there.
	"calling": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 2)
		of(ts).calls = startCalling(of(ts).as(ts, args[0]), args[1])
	},
	"called": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 1)
		least, err := strconv.Atoi(args[0])
		ts.Check(err)
		s := of(ts)
		if s.calls == nil {
			ts.Fatalf("nobody is calling")
		}
		ts.Check(s.calls.end(least))
		s.calls = nil
	},
	// inside WHERE COMMAND… runs a command in an instance or on a node, again until it succeeds; with
	// "!" it must fail at once.
	"inside": inside,
	// vlan NETWORK ID ADDRESS…: the outside gets these addresses on a VLAN of phys or phys2.
	"vlan": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 3)
		id, err := strconv.Atoi(args[1])
		ts.Check(err)
		ts.Check(of(ts).cloud(ts).OutsideVLAN(context.Background(), args[0], id, args[2:]...))
	},
	// behind INSTANCE ID MAC ADDRESS/LENGTH: the instance gets a device with that VLAN on its eth0.
	"behind": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 4)
		_, err := of(ts).cloud(ts).VLANDevice(args[0], args[1], args[2], args[3]) // ends with the instance
		ts.Check(err)
	},
	// pause SECONDS lets time pass, where nothing can be waited for.
	"pause": func(ts *testscript.TestScript, neg bool, args []string) {
		plain(ts, neg, args, 1)
		seconds, err := strconv.ParseFloat(args[0], 64)
		ts.Check(err)
		time.Sleep(time.Duration(seconds * float64(time.Second)))
	},
}

// plain refuses "!" before a word that has no opposite, and too few arguments.
func plain(ts *testscript.TestScript, neg bool, args []string, least int) {
	if neg {
		ts.Fatalf("this word has no opposite")
	}
	if len(args) < least {
		ts.Fatalf("%d arguments, at least %d are needed", len(args), least)
	}
}

func write(ts *testscript.TestScript, v any) {
	enc := json.NewEncoder(ts.Stdout())
	enc.SetIndent("", " ")
	ts.Check(enc.Encode(v))
}

// object reads key=text and key:=JSON.
func object(ts *testscript.TestScript, args []string) client.Object {
	o := client.Object{}
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			ts.Fatalf("%q is neither key=text nor key:=JSON", a)
		}
		if name, isJSON := strings.CutSuffix(key, ":"); isJSON {
			var v any
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				ts.Fatalf("%s: %v", a, err)
			}
			o[name] = v
			continue
		}
		o[key] = value
	}
	return o
}

// singular is the word in the envelope of one resource of a collection.
func singular(collection string) string {
	collection = path.Base(collection)
	one := strings.TrimSuffix(collection, "s")
	if stem, ies := strings.CutSuffix(collection, "ies"); ies {
		one = stem + "y"
	}
	return strings.ReplaceAll(one, "-", "_")
}

// nameless are collections whose resources have no names.
var nameless = map[string]bool{"security-group-rules": true, "floatingips": true, "rbac-policies": true, "port_forwardings": true}

func create(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 3)
	user, collection, name := args[0], args[1], args[2]
	attributes := object(ts, args[3:])
	if !nameless[path.Base(collection)] && !strings.HasSuffix(collection, "_rules") { // rules of QoS
		attributes["name"] = name
	}
	o, err := of(ts).as(ts, user).Create(context.Background(), collection, singular(collection), attributes)
	ts.Check(err)
	write(ts, o)
	id, _ := o["id"].(string)
	ts.Setenv(name, id)
	if project, ok := o["project_id"].(string); ok {
		ts.Setenv(name+"_project", project)
	}
	if mac, ok := o["mac_address"].(string); ok {
		ts.Setenv(name+"_mac", mac)
	}
	if ip, ok := o["floating_ip_address"].(string); ok {
		ts.Setenv(name+"_ip", ip)
	}
	ips, _ := o["fixed_ips"].([]any)
	for _, ip := range ips {
		address, _ := ip.(client.Object)["ip_address"].(string)
		if strings.Contains(address, ":") {
			ts.Setenv(name+"_ip6", address)
		} else {
			ts.Setenv(name+"_ip", address)
		}
	}
}

func change(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 3)
	collection, id := path.Split(args[1])
	collection = strings.TrimSuffix(collection, "/")
	o, err := of(ts).as(ts, args[0]).Update(context.Background(), collection, singular(collection), id, object(ts, args[2:]))
	ts.Check(err)
	write(ts, o)
}

func act(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2)
	o, err := of(ts).as(ts, args[0]).Do(context.Background(), "PUT", "/"+args[1], object(ts, args[2:]))
	ts.Check(err)
	write(ts, o)
}

func shows(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 3)
	want, err := regexp.Compile(args[2])
	ts.Check(err)
	ts.Check(until(patience, func() error {
		o, err := of(ts).as(ts, args[0]).Do(context.Background(), "GET", "/"+args[1], nil)
		if err != nil {
			return err
		}
		text, err := json.Marshal(o)
		if err == nil && !want.Match(text) {
			err = fmt.Errorf("there is no match for %s in %s", want, text)
		}
		return err
	}))
}

func refused(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 4)
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	user, method, path, rest := args[1], args[2], strings.TrimPrefix(args[3], "/"), args[4:]
	var body any
	parts := strings.Split(path, "/")
	switch {
	case len(rest) == 1 && strings.HasPrefix(rest[0], "@"):
		body = ts.ReadFile(rest[0][1:])
	case method == "POST" || method == "PUT" && len(parts) == 2:
		body = client.Object{singular(parts[0]): object(ts, rest)}
	case method == "PUT":
		body = object(ts, rest)
	}
	_, err = of(ts).as(ts, user).Send(context.Background(), method, "/"+path, body)
	var r *client.Refused
	if !errors.As(err, &r) {
		ts.Fatalf("%s %s was not refused: %v", method, path, err)
	}
	if r.Status != status {
		ts.Fatalf("refused with %d, not %d: %s", r.Status, status, r.Body)
	}
	var form struct {
		NeutronError struct{ Type, Message, Detail *string }
	}
	if status != 401 && (json.Unmarshal([]byte(r.Body), &form) != nil || form.NeutronError.Type == nil || form.NeutronError.Message == nil || form.NeutronError.Detail == nil) {
		ts.Fatalf("not the API's form of an error: %s", r.Body)
	}
	fmt.Fprintln(ts.Stdout(), r.Body)
}

func active(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, false, args, 2)
	c, want := of(ts).as(ts, args[0]), "ACTIVE"
	if neg {
		want = "DOWN"
	}
	ts.Check(until(patience, func() error {
		p, err := c.Show(context.Background(), "ports", "port", args[1])
		if err == nil && p["status"] != want {
			err = fmt.Errorf("port %s is %v", args[1], p["status"])
		}
		return err
	}))
}

func boot(ts *testscript.TestScript, neg bool, args []string) {
	wait := true
	if len(args) > 0 && args[0] == "--no-wait" {
		wait, args = false, args[1:]
	}
	plain(ts, neg, args, 3)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l := of(ts).cloud(ts)
	i, err := l.Boot(ctx, lab.BootRequest{Host: args[0], Name: args[1], Port: args[2], Compute: of(ts).as(ts, "admin")})
	ts.Check(err)
	ts.Setenv(args[1]+"_device", i.OnBridge())
	if wait {
		g, err := l.WaitLease(ctx, args[1])
		ts.Check(err)
		write(ts, g)
	}
}

func ping(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, false, args, 2)
	l := of(ts).cloud(ts)
	if neg {
		ts.Check(stops["ping"](ts, args))
		return
	}
	ts.Check(until(patience, func() error {
		_, err := l.Output(args[0], "ping", "-n", "-c1", "-W1", args[1])
		return err
	}))
}

func reaches(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, false, args, 5)
	if neg {
		ts.Check(stops["reach"](ts, args))
		return
	}
	_, err := speak(ts, args, patience)
	ts.Check(err)
}

// speak has somebody speak to a listener for so long.
func speak(ts *testscript.TestScript, args []string, wait time.Duration) (out string, err error) {
	l := of(ts).cloud(ts)
	from, to, address, protocol, port := args[0], args[1], args[2], args[3], args[4]
	stop, err := l.Listen(to, protocol, append(args, port)[5])
	ts.Check(err)
	defer stop()
	return l.Probe(from, "connect", protocol, address, port, "--wait", wait.String())
}

// stops are the words' opposites: an error is that something passes, or that it can't be said.
var stops = map[string]func(ts *testscript.TestScript, args []string) error{
	"ping": func(ts *testscript.TestScript, args []string) error {
		out, err := of(ts).cloud(ts).Output(args[0], "ping", "-n", "-c3", "-i0.2", "-W1", args[1])
		if err == nil || !strings.Contains(out, ", 0 received") {
			return fmt.Errorf("an answer came, or nothing was asked: %v\n%s", err, out)
		}
		return nil
	},
	"reach": func(ts *testscript.TestScript, args []string) error {
		out, err := speak(ts, args, 2*time.Second)
		if err == nil || !strings.Contains(err.Error(), "no answer") {
			return fmt.Errorf("it was reached, or not even tried: %v %s", err, out)
		}
		return nil
	},
	"frame": func(ts *testscript.TestScript, args []string) error {
		seen, err := of(ts).cloud(ts).Seen(args[0], args[1], args[2:])
		if err == nil && seen {
			err = fmt.Errorf("seen at %s", args[0])
		}
		return err
	},
}

func ends(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 3)
	least := map[string]int{"ping": 2, "reach": 5, "frame": 3}[args[0]]
	if least == 0 || len(args) <= least {
		ts.Fatalf("ends %s: say ping, reach or frame, and what they need", args[0])
	}
	ts.Check(until(patience, func() error { return stops[args[0]](ts, args[1:]) }))
}

// tally ends the ping of an instance.
func tally(ts *testscript.TestScript, from string) probe.Tally {
	s := of(ts)
	p := s.pings[from]
	if p == nil {
		ts.Fatalf("%s is not pinging", from)
	}
	delete(s.pings, from)
	t, err := p.Stop()
	ts.Check(err)
	write(ts, t)
	if t.Answered == 0 {
		ts.Fatalf("not one of %d pings was answered", t.Sent)
	}
	return t
}

func losses(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2)
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	if t := tally(ts, args[0]); len(t.Lost) > most {
		ts.Fatalf("of %d pings %d were answered; at most %d may be lost: %v", t.Sent, t.Answered, most, t.Lost)
	}
}

func silent(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, neg, args, 2)
	seconds, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	if t := tally(ts, args[0]); t.Silence.Seconds() < seconds {
		ts.Fatalf("the longest silence was %v", t.Silence)
	}
}

func inside(ts *testscript.TestScript, neg bool, args []string) {
	plain(ts, false, args, 2)
	l := of(ts).cloud(ts)
	var out bytes.Buffer
	once := func() error {
		out.Reset()
		exit, err := l.Run(lab.Command{Where: args[0], Argv: args[1:], Out: &out, Err: os.Stderr})
		if err == nil && exit != 0 {
			err = fmt.Errorf("%s: exit status %d: %s", strings.Join(args, " "), exit, out.String())
		}
		return err
	}
	var err error
	if neg {
		if once() == nil {
			err = errors.New("it succeeded")
		}
	} else {
		err = until(patience, once)
	}
	ts.Stdout().Write(out.Bytes())
	ts.Check(err)
}
