package shell

import (
	"slices"
	"strings"
)

// pattern is a Usage taken apart: first what stands at fixed places, then
// what may be left out, repeated or has a key.
type pattern struct {
	fixed    []item
	literals int             // literal words and choices among fixed: how much it says
	least    int             // words without key that must follow fixed
	most     int             // words without key that may follow, -1 for any number
	keys     map[string]bool // key of a key=value word: whether it is required
}

// item is a word at a fixed place: one of choices, or any word if there are
// none. A literal is the only choice and is not passed on.
type item struct{ choices []string }

func (i item) literal() bool { return len(i.choices) == 1 }

// parseUsage reads a Usage without its first word.
func parseUsage(usage string) pattern {
	var p pattern
	loose := false
	for _, token := range usageTokens(usage) {
		inner, optional := strings.CutPrefix(token, "[")
		inner = strings.TrimSuffix(inner, "]")
		bare, many := strings.CutSuffix(strings.TrimRight(inner, "]"), "...")
		key, _, hasKey := strings.Cut(bare, "=")
		switch {
		case bare == "":
			// A lone "..." repeats what stands before it.
			loose = true
			p.most = -1
		case hasKey && !strings.ContainsAny(bare, " "):
			loose = true
			if p.keys == nil {
				p.keys = make(map[string]bool)
			}
			p.keys[key] = !optional
		case optional:
			loose = true
			p.allow(len(strings.Fields(bare)), many || strings.Contains(bare, "..."))
		case many || loose:
			loose = true
			p.least++
			p.allow(1, many)
		default:
			i := item{choices(bare)}
			p.fixed = append(p.fixed, i)
			if i.choices != nil {
				p.literals++
			}
		}
	}
	return p
}

// allow adds n words to those that may follow the fixed ones.
func (p *pattern) allow(n int, many bool) {
	switch {
	case many:
		p.most = -1
	case p.most >= 0:
		p.most += n
	}
}

// usageTokens splits a Usage at blanks outside brackets and drops the name of
// the command.
func usageTokens(usage string) []string {
	var tokens []string
	open := 0
	for _, field := range strings.Fields(usage)[1:] {
		if open > 0 {
			tokens[len(tokens)-1] += " " + field
		} else {
			tokens = append(tokens, field)
		}
		open += strings.Count(field, "[") - strings.Count(field, "]")
	}
	return tokens
}

// choices are the words that a token without upper-case letters stands for.
func choices(token string) []string {
	if token != strings.ToLower(token) {
		return nil
	}
	return strings.Split(token, "|")
}

// match returns the arguments of words, which stand after the command's name,
// and whether they fit.
func (p pattern) match(words []string) ([]string, bool) {
	if len(words) < len(p.fixed) {
		return nil, false
	}
	args := []string{}
	for i, it := range p.fixed {
		switch word := words[i]; {
		case it.choices == nil:
			args = append(args, word)
		case !slices.Contains(it.choices, strings.ToLower(word)):
			return nil, false
		case !it.literal():
			args = append(args, strings.ToLower(word))
		}
	}
	rest := words[len(p.fixed):]
	return append(args, rest...), p.fits(rest)
}

// fits tells whether rest may follow the fixed words.
func (p pattern) fits(rest []string) bool {
	plain := 0
	given := make(map[string]bool)
	for _, word := range rest {
		key, _, ok := strings.Cut(word, "=")
		key = strings.ToLower(key)
		if _, known := p.keys[key]; !ok || p.keys == nil {
			plain++
		} else if known {
			given[key] = true
		} else {
			return false
		}
	}
	for key, required := range p.keys {
		if required && !given[key] {
			return false
		}
	}
	return plain >= p.least && (p.most < 0 || plain <= p.most)
}

// next returns the words that may stand after words, where those are literals,
// and behind the fixed ones the keys that are not there yet, as "key=".
func (p pattern) next(words []string) []string {
	for i, it := range p.fixed {
		if i == len(words) {
			return it.choices
		}
		if it.choices != nil && !slices.Contains(it.choices, strings.ToLower(words[i])) {
			return nil
		}
	}
	var keys []string
	for key := range p.keys {
		given := func(word string) bool { return hasPrefixFold(word, key+"=") }
		if !slices.ContainsFunc(words[len(p.fixed):], given) {
			keys = append(keys, key+"=")
		}
	}
	return keys
}
