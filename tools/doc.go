// Package tools is what a model can do: the MCP tools, as typed functions over the switchboard.
//
// Its one idea: a tool is a name, two structs and a function; define makes the rest, alike for all: it refuses arguments
// that do not exist and says which do, lifts the peer out of the context, and turns a failure into one that says whether a
// phone may have rung. The text of a result says everything that its structured form does, since most hosts show a model
// nothing else; words from outside stand in it between two lines that nobody can forge.
//
// It reaches nothing that only a person may do.
package tools
