//go:build !race

package faultlab

const (
	one                 = 1 // case of so many is played: all
	transcriptSchedules = 10_000
	requestChecks       = 10 // of 100 histories each
	randomFaults        = 1_000
)
