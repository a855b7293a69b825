/**
 * The page's one audio clock: decodes units and starts them at an exact time.
 *
 * Browsers let a page sound only after its user did something: `unlock` belongs in the handler of a
 * click or key. Where sound is refused all the same, the clock stands still, and so does whatever is
 * scheduled on it, until a later `unlock`.
 *
 * @module speech/sound
 */

/** A clock that the browser lets run does so within this time. */
const RESUME_WITHIN_MS = 800;
/** Encoders of MP3 pad both ends: what is quieter than -44 dB there is left out. */
const SILENT_BELOW = 10 ** (-44 / 20);
const KEPT_EDGE_S = 0.005;

/** @typedef {{buffer: AudioBuffer, offset: number, duration: number}} Sounding Part of a buffer that is to be heard; seconds. */

/** An AudioContext that is made when it is first needed. */
export class Sound {
  /** @type {AudioContext|null} */
  #context = null;
  /** Told when the clock starts or stops, whoever did it. @type {() => void} */
  onChange = () => {};

  /** Seconds; stands still while there is no sound. */
  get now() {
    return this.#context?.currentTime ?? 0;
  }

  /** Seconds between the clock and the ear; a wireless headset takes its time. */
  get latency() {
    return this.#context?.outputLatency || 0;
  }

  get isRunning() {
    return this.#context?.state === "running";
  }

  /** In a user's gesture: make the clock, let it run, and have the decoder ready. */
  unlock() {
    const isNew = this.#context === null;
    const context = this.#open();
    context.resume().catch(() => {});
    // The first decoding in a page takes ten times as long as all others.
    if (isNew) context.decodeAudioData(silentFile()).catch(() => {});
  }

  /** @returns {Promise<boolean>} Whether the clock runs; false where the browser wants a gesture first. */
  async run() {
    const context = this.#open();
    const waited = new Promise((resolve) => { setTimeout(resolve, RESUME_WITHIN_MS); });
    // Also where it seems to run: a halt may be under way.
    await Promise.race([context.resume().catch(() => {}), waited]);
    return this.isRunning;
  }

  /** Let the clock stand still: what is scheduled waits, to the sample. */
  halt() {
    this.#context?.suspend().catch(() => {});
  }

  /**
   * @param {ArrayBuffer} bytes
   * @param {string} mediaType
   * @returns {Promise<Sounding>}
   * @throws {DOMException} It is no audio that this browser knows.
   */
  async decode(bytes, mediaType) {
    const buffer = await this.#open().decodeAudioData(bytes);
    const isPadded = /mpeg|mp3/.test(mediaType);
    const [offset, end] = isPadded ? heardPart(buffer) : [0, buffer.duration];
    return { buffer, offset, duration: end - offset };
  }

  /**
   * @param {Sounding} sounding
   * @param {number} at Seconds on the clock.
   * @param {() => void} ended
   * @returns {() => void} Silences it; `ended` is then not called.
   */
  start({ buffer, offset, duration }, at, ended) {
    const context = this.#open();
    const node = new AudioBufferSourceNode(context, { buffer });
    node.connect(context.destination);
    node.onended = ended;
    node.start(at, offset, duration);
    return () => {
      node.onended = null;
      node.stop();
      node.disconnect();
    };
  }

  #open() {
    if (this.#context) return this.#context;
    this.#context = new AudioContext({ latencyHint: "playback" });
    this.#context.addEventListener("statechange", () => this.onChange());
    return this.#context;
  }
}

/**
 * @param {AudioBuffer} buffer
 * @returns {[number, number]} Seconds of its first and last audible sample; all of it where none is.
 */
export function heardPart(buffer) {
  const samples = buffer.getChannelData(0);
  const isHeard = (/** @type {number} */ sample) => Math.abs(sample) >= SILENT_BELOW;
  const first = samples.findIndex(isHeard);
  if (first < 0) return [0, buffer.duration];
  const last = samples.findLastIndex(isHeard);
  const start = Math.max(0, first / buffer.sampleRate - KEPT_EDGE_S);
  return [start, Math.min(buffer.duration, (last + 1) / buffer.sampleRate + KEPT_EDGE_S)];
}

/** @returns {ArrayBuffer} A WAV file of a hundredth of a second: mono, 8 kHz, 16 bit. */
function silentFile() {
  const samples = 80;
  const view = new DataView(new ArrayBuffer(44 + samples * 2));
  const words = [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [36, "data"]];
  for (const [at, word] of /** @type {[number, string][]} */ (words)) {
    for (const index of word.split("").keys()) view.setUint8(at + index, word.charCodeAt(index));
  }
  view.setUint32(4, view.byteLength - 8, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, 8000, true);
  view.setUint32(28, 16000, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  view.setUint32(40, samples * 2, true);
  return view.buffer;
}
