//go:build race

package faultlab

// With the race detector the lab plays a part of what it plays without: SQLite in Go is some twenty times slower then.
const (
	one                 = 11 // case of so many is played
	transcriptSchedules = 1_000
	requestChecks       = 1 // of 100 histories each
	randomFaults        = 24
)
