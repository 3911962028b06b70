package main

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type object = map[string]any

// at is the value at a path such as "images.*.imageId".
func at(value any, path string) (any, error) {
	name, rest, more := strings.Cut(path, ".")
	var next any
	switch found := value.(type) {
	case []any:
		if name == "*" {
			var all []any
			for _, entry := range found {
				if more {
					inner, err := at(entry, rest)
					if err != nil {
						return nil, err
					}
					entry = inner
				}
				all = append(all, entry)
			}
			return all, nil
		}
		index, err := strconv.Atoi(name)
		if index < 0 {
			index += len(found)
		}
		if err != nil || index < 0 || index >= len(found) {
			return nil, fmt.Errorf("the path %s leads nowhere", path)
		}
		next = found[index]
	case object:
		next = found[name]
	}
	if next == nil {
		return nil, fmt.Errorf("the path %s leads nowhere", path)
	}
	if more {
		return at(next, rest)
	}
	return next, nil
}

// number is a value as a number; absent is 0.
func number(value any) float64 {
	switch value := value.(type) {
	case float64:
		return value
	case string:
		if parsed, err := strconv.ParseFloat(value, 64); err == nil {
			return parsed
		}
		return math.NaN()
	case nil:
		return 0
	}
	return math.NaN()
}

func show(value any) string {
	// What was decoded from JSON can be encoded.
	text, _ := json.Marshal(value)
	if len(text) > 300 {
		return string(text[:300]) + "…"
	}
	return string(text)
}

type ids map[string]string

// mismatch says what is wrong with a value; empty where it matches.
func (known ids) mismatch(value, matcher any) string {
	switch wanted := matcher.(type) {
	case []any:
		entries, isList := value.([]any)
		if value != nil && !isList || len(entries) != len(wanted) {
			return fmt.Sprintf("%s is no list of %d", show(value), len(wanted))
		}
		for i, entry := range wanted {
			if wrong := known.mismatch(entries[i], entry); wrong != "" {
				return fmt.Sprintf("%d: %s", i, wrong)
			}
		}
		return ""
	case object:
		for name, inner := range wanted {
			wrong := ""
			if strings.HasPrefix(name, "$") {
				wrong = known.named(value, name, inner)
			} else {
				fields, _ := value.(object)
				if wrong = known.mismatch(fields[name], inner); wrong != "" {
					wrong = name + ": " + wrong
				}
			}
			if wrong != "" {
				return wrong
			}
		}
		return ""
	}
	_, isNumber := matcher.(float64)
	empty := value == nil && (matcher == 0.0 || matcher == "" || matcher == false)
	if empty || reflect.DeepEqual(value, matcher) || isNumber && value != nil && number(value) == matcher {
		return ""
	}
	return fmt.Sprintf("%s is not %s", show(value), show(matcher))
}

func (known ids) named(value any, name string, wanted any) string {
	if wrong := known.holds(value, name, wanted); wrong != "" {
		return fmt.Sprintf("%s does not match %s %s: %s", show(value), name, show(wanted), wrong)
	}
	return ""
}

func says(holds bool) string {
	if holds {
		return ""
	}
	return "no"
}

func (known ids) holds(value any, name string, wanted any) string {
	list, isList := value.([]any)
	switch name {
	case "$any":
		return says(value != nil)
	case "$absent":
		return says(value == nil)
	case "$gt":
		return says(number(value) > number(wanted))
	case "$ge":
		return says(number(value) >= number(wanted))
	case "$lt":
		return says(number(value) < number(wanted))
	case "$le":
		return says(number(value) <= number(wanted))
	case "$near":
		bounds := wanted.([]any)
		return says(math.Abs(number(value)-number(bounds[0])) <= number(bounds[1]))
	case "$length":
		length := 0
		if value != nil {
			length = reflect.ValueOf(value).Len()
		}
		return known.mismatch(float64(length), wanted)
	case "$not":
		return says(known.mismatch(value, wanted) != "")
	case "$matches":
		text, isText := value.(string)
		return says(isText && regexp.MustCompile(wanted.(string)).MatchString(text))
	case "$image_of":
		fields, _ := value.(object)
		key, _ := fields["key"].(string)
		if folder := wanted.(string); folder != "" {
			key = folder + "/" + key
		}
		return says(fields["imageId"] != nil && fields["imageId"] == known[key])
	}
	if value != nil && !isList {
		return "it is no list"
	}
	return known.ofList(list, name, wanted)
}

func (known ids) ofList(list []any, name string, wanted any) string {
	matches := func(matcher any) float64 {
		count := 0
		for _, entry := range list {
			if known.mismatch(entry, matcher) == "" {
				count++
			}
		}
		return float64(count)
	}
	switch name {
	case "$each":
		for _, entry := range list {
			if wrong := known.mismatch(entry, wanted); wrong != "" {
				return fmt.Sprintf("%s: %s", show(entry), wrong)
			}
		}
		return ""
	case "$some":
		return says(matches(wanted) > 0)
	case "$count":
		pair := wanted.([]any)
		return known.mismatch(matches(pair[0]), pair[1])
	case "$unordered":
		return says(slices.Equal(sorted(list), sorted(wanted.([]any))))
	case "$ascending", "$descending":
		order := slices.Clone(list)
		compare := func(a, b any) int {
			first, _ := at(a, wanted.(string))
			second, _ := at(b, wanted.(string))
			sign := 1
			if name == "$descending" {
				sign = -1
			}
			switch difference := number(first) - number(second); {
			case difference < 0:
				return -sign
			case difference > 0:
				return sign
			}
			return 0
		}
		return says(slices.IsSortedFunc(order, compare))
	case "$distinct":
		seen := map[string]bool{}
		for _, entry := range list {
			found, _ := at(entry, wanted.(string))
			seen[show(found)] = true
		}
		return says(len(seen) == len(list))
	}
	return "there is no such matcher"
}

func sorted(values []any) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = show(value)
	}
	slices.Sort(texts)
	return texts
}
