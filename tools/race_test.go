//go:build race

package tools_test

// underRace says that these tests run with the race detector: there they take twenty times as long, and time means little.
const underRace = true
