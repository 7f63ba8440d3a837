import { expect, test, vi } from "vitest";
import { Encoding } from "./encoding.js";

/** Work that lasts until it is told to end. */
const endless = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
const never = new AbortController().signal;

test("texts are read one request at a time; who goes gives the turn back; more than may wait are sent away", async () => {
  const encoding = new Encoding({ waiting: 1, seconds: 600 });
  const [one, two] = [new AbortController(), new AbortController()];
  const running = encoding.run("prompt", one.signal, endless);
  const waiting = encoding.run("prompt", two.signal, async () => "never reached");
  await expect(encoding.run("prompt", never, async () => 1)).rejects.toMatchObject({
    status: 429,
    code: "queue_full",
  });
  two.abort(new Error("gone while it waited"));
  await expect(waiting).rejects.toThrow("gone while it waited");
  const next = encoding.run("prompt", never, async () => "ids");
  one.abort(new Error("gone while it ran"));
  await expect(running).rejects.toThrow("gone while it ran");
  expect(await next).toBe("ids");
  await expect(encoding.run("prompt", one.signal, async () => 1)).rejects.toThrow("gone while it ran");
});

test("a text that takes too long, or that the tokenizer gives up on, is the client's error; others are not", async () => {
  const encoding = new Encoding({ waiting: 1, seconds: 0.05 });
  await expect(encoding.run("messages", never, endless)).rejects.toMatchObject({
    status: 400,
    code: "text_too_hard",
    param: "messages",
  });
  const failing = (error: unknown) => encoding.run("prompt", never, () => Promise.reject(error));
  const given = (code: string) => Object.assign(new Error("why"), { code });
  await expect(failing(given("GSIC_INVALID_ARGUMENT"))).rejects.toMatchObject({
    status: 400,
    message: "why",
  });
  await expect(failing(given("GSIC_OUT_OF_MEMORY"))).rejects.toMatchObject({ code: "GSIC_OUT_OF_MEMORY" });
});

test("a text is not at fault for what others take of the machine", async () => {
  const encoding = new Encoding({ waiting: 1, seconds: 0.05 });
  // Four times as long by the clock, in which this process computes next to nothing.
  const slow = () => new Promise((resolve) => setTimeout(resolve, 200, "ids"));
  const ends = (signal: AbortSignal) => Promise.race([slow(), endless(signal)]);
  const computes = vi.spyOn(process, "cpuUsage").mockReturnValue({ user: 0, system: 0 });
  expect(await encoding.run("prompt", never, ends)).toBe("ids");
  computes.mockReturnValue({ user: 40_000, system: 20_000 });
  await expect(encoding.run("prompt", never, ends)).rejects.toMatchObject({ code: "text_too_hard" });
  computes.mockRestore();
});
