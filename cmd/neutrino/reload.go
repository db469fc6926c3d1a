package main

import (
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"neutrino/config"
)

// setDebug makes the log tell more, or less.
func setDebug(level *slog.LevelVar, debug bool) {
	level.Set(slog.LevelInfo)
	if debug {
		level.Set(slog.LevelDebug)
	}
}

// logValues tells what files say that does not happen as one may think.
func logValues(log *slog.Logger, values []config.Value) {
	for _, v := range values {
		switch {
		case v.Warns():
			log.Warn(v.Note, "option", "["+v.Section+"] "+v.Name, "file", v.Place)
		case v.Note != "":
			log.Info(v.Note, "option", "["+v.Section+"] "+v.Name, "file", v.Place)
		}
	}
}

// What counts at once when it is read again.
var (
	serverReloads = []string{"[DEFAULT] debug"}
	agentReloads  = []string{"[DEFAULT] debug", "[ovs] bridge_mappings"}
)

// onHangup reads the configuration files again at each SIGHUP. read gives what they say now, and, by option, what
// takes a new value over without a restart. The log says which options need one. The returned function ends it.
func onHangup(log *slog.Logger, before []config.Value, read func() (values []config.Value, live map[string]func(), err error)) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			before = reload(log, before, read)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// reload takes over what can be, and gives back what is in force: an option that needs a restart keeps being told.
func reload(log *slog.Logger, before []config.Value, read func() ([]config.Value, map[string]func(), error)) []config.Value {
	values, live, err := read()
	if err != nil {
		log.Error("the configuration files are wrong; nothing is changed", "error", err)
		return before
	}
	var taken, waiting []string
	for _, name := range config.Changed(before, values) {
		if live[name] != nil {
			taken = append(taken, name)
		} else {
			waiting = append(waiting, name)
		}
	}
	for _, name := range taken {
		live[name]()
	}
	log.Info("configuration files read again", "changed", taken, "can_change", slices.Sorted(maps.Keys(live)))
	if len(waiting) > 0 {
		log.Warn("these options changed; a restart is needed for them", "options", waiting)
		return config.Kept(before, values, waiting)
	}
	return values
}
