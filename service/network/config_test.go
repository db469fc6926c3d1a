package network

import (
	"reflect"
	"testing"
)

func TestVLANRanges(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  map[string][]IDRange // nil: refused
	}{
		{nil, map[string][]IDRange{}},
		{[]string{"physnet1"}, map[string][]IDRange{"physnet1": {{1, 4094}}}},
		{[]string{"physnet1:100:199", "physnet1:300:300", "p2"}, map[string][]IDRange{"physnet1": {{100, 199}, {300, 300}}, "p2": {{1, 4094}}}},
		{[]string{"physnet1:100"}, nil},
		{[]string{":1:2"}, nil},
		{[]string{"p:0:5"}, nil},
		{[]string{"p:5:4"}, nil},
		{[]string{"p:1:4095"}, nil},
		{[]string{"p:a:b"}, nil},
	} {
		got := map[string][]IDRange{}
		if err := ParseVLANRanges(c.texts, got); (err != nil) != (c.want == nil) || err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %v %v, want %v", c.texts, got, err, c.want)
		}
	}
}

func TestMTUs(t *testing.T) {
	got, err := ParseMTUs([]string{"physnet1:1400", "p2:9000"})
	if err != nil || !reflect.DeepEqual(got, map[string]int{"physnet1": 1400, "p2": 9000}) {
		t.Errorf("%v %v", got, err)
	}
	for _, text := range []string{"physnet1", ":1400", "p:67", "p:many", "p:65536"} {
		if got, err := ParseMTUs([]string{text}); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if _, err := ParseMTUs([]string{"p:1400", "p:1500"}); err == nil {
		t.Error("one network twice")
	}
}
