// Waiting for what must come: the condition is asked again after every event, and often enough without one. The deadlines
// are there so that a test ends; no test asserts how long something took by them.

/** TEST_DEADLINE_MS is for those who look for a mistake and do not want to wait. */
export const GENEROUS_MS = Number(process.env.TEST_DEADLINE_MS ?? 60_000);

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Resolves with the first truthy value of `condition()`, which may be async; throws when there is none in time. `what` is
 * said in the error: a text, or a function that describes the state that was seen instead.
 */
export async function until(condition, what, deadlineMs = GENEROUS_MS) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) {
      const said = typeof what === 'function' ? await what() : what;
      throw new Error(`not within ${deadlineMs} ms: ${said}`);
    }
    await pause(50);
  }
}

/** The promise's outcome, or an error that says what was waited for. */
export function within(promise, what, deadlineMs = GENEROUS_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms: ${what}`)), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
