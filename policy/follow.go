package policy

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// Follow reads the file again whenever it changes, until ctx ends; every is how often it looks. A
// file with mistakes, or one that disappears, changes nothing: the rules in force stay, and the log
// says why. What LoadFile has read already is not read again.
func (e *Enforcer) Follow(ctx context.Context, path string, every time.Duration, log *slog.Logger) {
	var last os.FileInfo
	if seen := e.lastFile.Load(); seen != nil {
		last = *seen
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, err := os.Stat(path)
		switch {
		case err != nil && last != nil:
			log.Error("the policy file can't be looked at; its last rules stay in force", "file", path, "error", err)
		case err == nil && changed(last, now):
			if err := e.LoadFile(path); err != nil {
				log.Error("the changed policy file is refused; the rules before it stay in force", "file", path, "error", err)
			} else {
				log.Info("the changed policy file is in force", "file", path)
			}
		}
		last = now
		if err != nil {
			last = nil
		}
	}
}

// changed says whether the file is another one than it was. Files replaced by rename differ by identity.
func changed(was, is os.FileInfo) bool {
	return was == nil || !os.SameFile(was, is) || !was.ModTime().Equal(is.ModTime()) || was.Size() != is.Size()
}
