package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fernet/fernet-go"
)

// Token keys are files in one directory, named by numbers, as Keystone has them: the highest is the
// primary, which makes tokens; 0 is staged, the next primary, already known to all servers; the rest
// only check tokens that they made.

// loadKeys reads the keys, the primary first.
func loadKeys(dir string) ([]*fernet.Key, error) {
	numbers, err := keyNumbers(dir)
	if err != nil {
		return nil, fmt.Errorf("read token keys: %w", err)
	}
	if len(numbers) == 0 {
		return nil, fmt.Errorf("read token keys: there are none in %s", dir)
	}
	keys := make([]*fernet.Key, 0, len(numbers))
	for _, n := range slices.Backward(numbers) {
		path := keyPath(dir, n)
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read token keys: %w", err)
		}
		key, err := fernet.DecodeKey(strings.TrimSpace(string(data)))
		if err != nil {
			return nil, fmt.Errorf("read token keys: %s is no key: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func keyPath(dir string, n int) string { return filepath.Join(dir, strconv.Itoa(n)) }

// keyNumbers lists the keys in ascending order.
func keyNumbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n >= 0 && e.Type().IsRegular() && strconv.Itoa(n) == e.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// createKeys makes a primary and a staged key if there are no keys.
func createKeys(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create token keys: %w", err)
	}
	numbers, err := keyNumbers(dir)
	if err != nil {
		return fmt.Errorf("create token keys: %w", err)
	}
	if len(numbers) > 0 {
		return nil
	}
	for _, n := range []int{1, 0} {
		if err := newKey(dir, n); err != nil {
			return fmt.Errorf("create token keys: %w", err)
		}
	}
	return nil
}

func newKey(dir string, n int) error {
	var key fernet.Key
	if err := key.Generate(); err != nil {
		return err
	}
	return writeFile(keyPath(dir, n), []byte(key.Encode()+"\n"))
}

// RotateKeys makes the staged key the primary one, stages a new one, and removes the oldest until
// keep remain (at least 3). Tokens of a removed key end: keep more keys than rotations in a token's life.
func RotateKeys(stateDir string, keep int) error {
	if keep < 3 {
		return errors.New("rotate token keys: at least 3 keys must be kept")
	}
	return locked(stateDir, func() error {
		dir := filepath.Join(stateDir, keysDir)
		numbers, err := keyNumbers(dir)
		if err != nil {
			return fmt.Errorf("rotate token keys: %w", err)
		}
		if len(numbers) == 0 || numbers[0] != 0 {
			return fmt.Errorf("rotate token keys: there is no staged key 0 in %s", dir)
		}
		next := numbers[len(numbers)-1] + 1
		if err := os.Rename(keyPath(dir, 0), keyPath(dir, next)); err != nil {
			return fmt.Errorf("rotate token keys: %w", err)
		}
		if err := newKey(dir, 0); err != nil {
			return fmt.Errorf("rotate token keys: %w", err)
		}
		secondary := numbers[1:]
		for len(secondary)+2 > keep {
			if err := os.Remove(keyPath(dir, secondary[0])); err != nil {
				return fmt.Errorf("rotate token keys: %w", err)
			}
			secondary = secondary[1:]
		}
		return nil
	})
}
