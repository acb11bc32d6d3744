//go:build race

package guard

// everyDay is how many days lie between those that are tried: under the race detector a part of them.
const everyDay = 13
