package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDescribeBuild(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for _, test := range []struct {
		name, version  string
		settings       []debug.BuildSetting
		want, wantTime string
	}{
		{"nothing recorded", "", nil, "unknown", "unknown"},
		{"a module's version", "v1.2.3", nil, "v1.2.3", "unknown"},
		{"a tag", "v1.2.3", []debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}}, "v1.2.3 (0123456789ab)", "2026-01-02T03:04:05Z"},
		{"no tag", "v0.0.0-20260102030405-0123456789ab+dirty", []debug.BuildSetting{{Key: "vcs.revision", Value: commit}}, "v0.0.0-20260102030405-0123456789ab+dirty", "unknown"},
		{"a short revision", "v1.2.3", []debug.BuildSetting{{Key: "vcs.revision", Value: "12"}}, "v1.2.3 (12)", "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			version, built := describeBuild(&debug.BuildInfo{Main: debug.Module{Version: test.version}, Settings: test.settings})
			assert.Equal(t, test.want, version)
			assert.Equal(t, test.wantTime, built)
		})
	}
}
