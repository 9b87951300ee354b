package main

import (
	"os"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

func TestComponentReferenceIsCurrent(t *testing.T) {
	want, err := render(service.GlobalEnvironment())
	require.NoError(t, err)
	got, err := os.ReadFile("../components.md")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "docs/components.md is out of date: run `make docs`")
}
