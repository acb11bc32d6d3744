package providertest

import (
	"bufio"
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// telling is the adapter with another Stream.
type telling struct {
	*plain
	stream func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool)
}

func (m telling) Stream(ctx context.Context, ref phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) { m.stream(m.plain, ctx, ref, yield) }
}

func tellsSo(stream func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool)) func(*plain) providers.Driver {
	return func(p *plain) providers.Driver { return telling{p, stream} }
}

// changed is the adapter's stream with every observation changed.
func changed(change func(i int, o phone.Observation) phone.Observation) func(*plain) providers.Driver {
	return tellsSo(func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
		i := 0
		for o, err := range p.Stream(ctx, ref) {
			if !yield(change(i, o), err) {
				return
			}
			i++
		}
	})
}

// byLine reads a stream line by line, as one does who has not read the contract: half an event is an event, silence is
// borne for ever, and how the connection ended is not looked at.
func byLine(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, p.base+p.wordsPath(ref), http.NoBody)
	req.Header.Set("X-Key", plainKey)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		yield(phone.Observation{}, phone.AsError(err))
		return
	}
	defer resp.Body.Close()
	in, event, opened := bufio.NewReader(resp.Body), "", true
	for {
		line, err := in.ReadString('\n')
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			event += data
		}
		if err != nil || line == "\n" {
			if o, ok := plainEvent(event); ok {
				o.Opened, opened = opened, false
				if !yield(o, nil) {
					return
				}
			}
			event = ""
		}
		if err != nil {
			return
		}
	}
}

// endsWith adds an end of the line to a stream that ended in a way.
func endsWith(how func(err error) bool) func(*plain) providers.Driver {
	return tellsSo(func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
		var last error
		for o, err := range p.Stream(ctx, ref) {
			if last = err; err == nil && !yield(o, nil) {
				return
			}
		}
		if how(last) {
			yield(phone.Observation{Line: phone.WrappingUp}, nil)
		} else if last != nil {
			yield(phone.Observation{}, last)
		}
	})
}

func followMutants() []mutant {
	broke := func(err error) bool { return err != nil }
	return []mutant{
		{"takes a cut for the end", "a stream cut anywhere is no end, and nothing is lost", endsWith(broke)},
		{"takes the end of the context for the end", "a stream stops with its context", endsWith(func(err error) bool { return errors.Is(err, context.DeadlineExceeded) })},
		{"takes a refusal for the end", "a stream that is not given is no end", endsWith(broke)},
		{"takes every broken stream for the end", "a call whose streams all break is followed by look-ups", endsWith(broke)},
		{"takes a stream that is opened again for the end", "a stream is opened again and again for one call that is dialed once", endsWith(broke)},
		{"takes half an event for a whole one", "half an event is no event", tellsSo(byLine)},
		{"bears silence", "a stream that falls silent is given up", tellsSo(byLine)},
		{"waits for ever for a beginning", "a stream that never begins is given up", tellsSo(byLine)},
		{"ends without an error in silence", "a stream that falls silent is given up", tellsSo(func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
			for o, err := range p.Stream(ctx, ref) {
				if err != nil || !yield(o, nil) {
					return
				}
			}
		})},
		{"does not stop in silence", "the end of the context stops a silent stream", tellsSo(func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
			slow, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			byLine(p, slow, ref, yield)
		})},
		{"ends on a spoken [DONE]", "markers that people speak end nothing", changed(func(_ int, o phone.Observation) phone.Observation {
			if len(o.Words) > 0 && o.Words[0].Text == "[DONE]" {
				o.Line = phone.WrappingUp
			}
			return o
		})},
		{"swallows what looks like a marker", "markers that people speak end nothing", changed(func(_ int, o phone.Observation) phone.Observation {
			if len(o.Words) > 0 && strings.HasPrefix(o.Words[0].Text, "[") {
				o.Words = nil
			}
			return o
		})},
		{"gives its marker as words", "a stream tells every word, and once that it has opened", changed(func(_ int, o phone.Observation) phone.Observation {
			if o.Line == phone.WrappingUp {
				o.Words = []phone.Words{{Role: "system", Text: "[DONE]", Final: true}}
			}
			return o
		})},
		{"calls everybody user", "each scenario is followed to its end", changed(func(_ int, o phone.Observation) phone.Observation {
			for i := range o.Words {
				o.Words[i].Role = "user"
			}
			return o
		})},
		{"never says that it opened", "a stream tells every word, and once that it has opened", changed(func(_ int, o phone.Observation) phone.Observation {
			o.Opened = false
			return o
		})},
		{"says every time that it opened", "a stream tells every word, and once that it has opened", changed(func(_ int, o phone.Observation) phone.Observation {
			o.Opened = true
			return o
		})},
		{"loses the first words", "a stream that is opened late misses nothing that counts", looksSo(func(p *plain, ctx context.Context, ref phone.Ref) (phone.Observation, error) {
			o, err := p.Lookup(ctx, ref)
			if len(o.Words) > 0 {
				o.Words = o.Words[1:]
			}
			return o, err
		})},
		{"gives up on nonsense", "events that make no sense are passed over", tellsSo(func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
			for data, err := range p.c.Stream(ctx, p.wordsPath(ref), nil, p.idle) {
				o, ok := plainEvent(data)
				if !ok || err != nil {
					yield(phone.Observation{}, phone.Errorf(phone.Unavailable, "It cannot be read."))
					return
				}
				if !yield(o, nil) {
					return
				}
			}
		})},
		{"takes every event for words", "events that make no sense are passed over", tellsSo(func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
			for data, err := range p.c.Stream(ctx, p.wordsPath(ref), nil, p.idle) {
				o, ok := plainEvent(data)
				if !ok && err == nil {
					o.Words = []phone.Words{{Role: phone.Callee, Text: data, Final: true}}
				}
				if !yield(o, err) {
					return
				}
			}
		})},
		{"leaves a reader behind", "a stream that is left leaves nothing behind", tellsSo(func(p *plain, ctx context.Context, ref phone.Ref, yield func(phone.Observation, error) bool) {
			words, left := make(chan phone.Observation), make(chan struct{})
			go func() {
				defer close(words)
				for o := range p.Stream(context.WithoutCancel(ctx), ref) {
					words <- o // for ever, once nobody listens
				}
				<-left
			}()
			for o := range words {
				if !yield(o, nil) {
					return
				}
			}
		})},
	}
}
