package culld

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy is how patient the client is with a daemon that is busy, stopping or away.
type RetryPolicy struct {
	// InitialDelay is the wait before the second try. Default 100 ms.
	InitialDelay time.Duration
	// Multiplier is what each wait is of the one before. Default 2.
	Multiplier float64
	// MaxDelay is the longest wait; the daemon may ask for a longer one. Default 5 s.
	MaxDelay time.Duration
	// Jitter is the share of itself, [0, 1], by which a wait is drawn shorter or longer. Default 0.25.
	Jitter float64
	// Patience is how long to try in all since something last worked; negative never tries again. Default 30 s. A deadline
	// that is nearer comes first.
	Patience time.Duration
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	for _, field := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&p.InitialDelay, 100 * time.Millisecond}, {&p.MaxDelay, 5 * time.Second}, {&p.Patience, 30 * time.Second}} {
		if *field.value == 0 {
			*field.value = field.or
		}
	}
	if p.Multiplier == 0 {
		p.Multiplier = 2
	}
	if p.Jitter == 0 {
		p.Jitter = 0.25
	}
	return p
}

// backoff counts the waits between tries of one thing.
type backoff struct {
	policy      RetryPolicy
	failures    int
	failedSince time.Time
	now         func() time.Time
	random      func() float64
}

func newBackoff(policy RetryPolicy) *backoff {
	return &backoff{policy: policy, now: time.Now, random: rand.Float64}
}

// reset says that something worked: what fails from now on begins anew.
func (b *backoff) reset() { b.failures = 0 }

// next is how long to wait before the next try; false where there is to be none.
func (b *backoff) next(err *Error) (time.Duration, bool) {
	if !err.Retryable || b.policy.Patience < 0 {
		return 0, false
	}
	now := b.now()
	if b.failures == 0 {
		b.failedSince = now
	}
	full := min(float64(b.policy.InitialDelay)*math.Pow(b.policy.Multiplier, float64(b.failures)), float64(b.policy.MaxDelay))
	wait := time.Duration(full * (1 + b.policy.Jitter*(2*b.random()-1)))
	if err.RetryAfter > 0 {
		// All who were turned away come back spread out, and none of them too early.
		wait = err.RetryAfter + time.Duration(full*b.policy.Jitter*b.random())
	}
	b.failures++
	return wait, now.Add(wait).Sub(b.failedSince) <= b.policy.Patience
}

// wait waits for the next try; false where there is to be none.
func (b *backoff) wait(ctx context.Context, err *Error) bool {
	wait, again := b.next(err)
	if !again {
		return false
	}
	if deadline, has := ctx.Deadline(); has && b.now().Add(wait).After(deadline) {
		<-ctx.Done()
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
