package nova

import (
	"errors"
	"slices"
	"testing"
)

// TestJudge: what Nova's answers mean for two events.
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		status  int
		answer  string
		codes   []int // nil: an error
		refused bool  // by Nova, rather than by the way to it
	}{
		{200, `{"events": [{"code": 200}, {"code": 200}]}`, []int{200, 200}, false},
		{207, `{"events": [{"code": 404}, {"code": 422}]}`, []int{404, 422}, false},
		{200, `{"events": [{"name": "network-changed"}, {}]}`, []int{200, 200}, false},
		{200, `{"events": [{"code": 200}]}`, nil, false},
		{200, `<html>log in, please</html>`, nil, false},
		{404, `{"itemNotFound": {"code": 404, "message": "No instances found for any event"}}`, []int{404, 404}, false},
		{404, `<h1>It works!</h1>`, nil, false},
		{400, `{"badRequest": {}}`, nil, true},
		{413, ``, nil, true},
		{403, `{"forbidden": {}}`, nil, false},
		{429, ``, nil, false},
		{500, ``, nil, false},
		{302, ``, nil, false},
	} {
		codes, err := judge(test.status, []byte(test.answer), 2)
		if !slices.Equal(codes, test.codes) || (err == nil) != (test.codes != nil) || errors.Is(err, errRefused) != test.refused {
			t.Errorf("%d %s: %v %v", test.status, test.answer, codes, err)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(200, []byte(`{"events": [{"code": 200}, {"code": -1}]}`))
	f.Add(404, []byte(`{"itemNotFound": {}}`))
	f.Add(207, []byte(`[]`))
	f.Fuzz(func(t *testing.T, status int, answer []byte) {
		codes, err := judge(status, answer, 2)
		if err == nil && len(codes) != 2 {
			t.Errorf("%d codes", len(codes))
		}
	})
}
