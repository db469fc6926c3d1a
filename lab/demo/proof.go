package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// proof prints each step with its time and counts what failed.
type proof struct {
	out           io.Writer
	steps, failed int
}

// step does one thing and says how it went.
func (p *proof) step(what string, do func() error, args ...any) bool {
	began := time.Now()
	err := do()
	p.steps++
	mark, text := "✓", fmt.Sprintf(what, args...)
	if err != nil {
		p.failed++
		mark, text = "✗", text+": "+strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n             ")
	}
	p.say(mark, time.Since(began), "%s", text)
	return err == nil
}

func (p *proof) say(mark string, took time.Duration, format string, args ...any) {
	fmt.Fprintf(p.out, "%s %7.3f s  %s\n", mark, took.Seconds(), fmt.Sprintf(format, args...))
}
