import { expect, test } from "vitest";
import { CommonEnd } from "./ends.js";

test("an end aborts all that it reaches, who comes later at once, and nobody who was forgotten", () => {
  const end = new CommonEnd();
  const [first, forgotten, late] = [new AbortController(), new AbortController(), new AbortController()];
  end.reaches(first);
  end.reaches(forgotten)();
  end.throwIfReached();
  const reason = new Error("it stops");
  end.reach(reason);
  end.reach(new Error("again"));
  end.reaches(late);
  expect(first.signal.reason).toBe(reason);
  expect(late.signal.reason).toBe(reason);
  expect(forgotten.signal.aborted).toBe(false);
  expect(() => end.throwIfReached()).toThrow(reason);
});
