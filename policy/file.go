package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// maxFile limits the size of policy.yaml, in bytes.
const maxFile = 4 << 20

// Load puts the rules of an operator's file, YAML or JSON, over the defaults, instead of those of
// any earlier file. name is the file's, for messages. On any mistake nothing changes, and the error
// lists every mistake with file, line and rule.
func (e *Enforcer) Load(name string, data []byte) error {
	overrides, err := decode(name, data)
	if err != nil {
		return err
	}
	return e.apply(overrides)
}

// LoadFile is Load for a file. The error wraps fs.ErrNotExist when there is none.
func (e *Enforcer) LoadFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	if info.Size() > maxFile {
		return fmt.Errorf("read policy: %s is larger than %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	e.lastFile.Store(&info)
	return e.Load(path, data)
}

// decode reads a mapping from rule names to rules in text form or in the old form of lists.
func decode(name string, data []byte) ([]override, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	if json.Valid(data) {
		// JSON may be indented with tabs, which YAML does not accept; within its strings there are none.
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(document.Content) == 0 {
		return nil, nil // empty, or nothing but comments
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: must be a mapping from rule names to rules", name, root.Line)
	}
	var errs []error
	var list []override
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		origin := fmt.Sprintf("%s:%d", name, key.Line)
		if key.Kind != yaml.ScalarNode || key.Value == "" || key.Tag == "!!merge" {
			errs = append(errs, fmt.Errorf("%s: the name of a rule must be text", origin))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			errs = append(errs, fmt.Errorf("%s: rule %q is here twice, first in line %d", origin, key.Value, line))
			continue
		}
		seen[key.Value] = key.Line
		k, err := ruleValue(value)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: rule %q: %w", origin, key.Value, err))
			continue
		}
		list = append(list, override{key.Value, origin, k})
	}
	return list, errors.Join(errs...)
}

func ruleValue(n *yaml.Node) (check, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
		return parse(n.Value)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, errors.New(`has no value; write "@" to allow everybody or "!" to allow nobody`)
	case n.Kind != yaml.SequenceNode:
		return nil, errors.New("must be text in quotes, or a list of lists of checks")
	}
	lists := make([][]string, 0, len(n.Content))
	for _, inner := range n.Content {
		switch {
		case isText(inner):
			lists = append(lists, []string{inner.Value})
		case inner.Kind == yaml.SequenceNode:
			list := make([]string, 0, len(inner.Content))
			for _, item := range inner.Content {
				if !isText(item) {
					return nil, fmt.Errorf("line %d: a check must be text", item.Line)
				}
				list = append(list, item.Value)
			}
			lists = append(lists, list)
		default:
			return nil, fmt.Errorf("line %d: must be a check or a list of checks", inner.Line)
		}
	}
	return parseLists(lists)
}

func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!str" }
