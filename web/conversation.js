/**
 * The open conversation: loads its messages, starts turns, follows the running one, stops it.
 *
 * Knows the server and the reducer; what it shows goes through the views it is given.
 *
 * @module conversation
 */

import * as api from "./api.js";
import { Beacon } from "./beacon.js";
import { toExchanges, withoutOrphans } from "./exchanges.js";
import { showNotStarted } from "./not_started.js";
import { ProblemError, sentence } from "./problems.js";
import { rate } from "./rating.js";
import { Reader } from "./reader.js";
import { SpokenTurn } from "./speech/spoken_turn.js";
import { newKey, postUntilAnswered } from "./starting.js";
import { forgetStart, keepDraft, keepStart, tell } from "./tabs.js";
import { isFinal, isWriting, newTurn, reduce } from "./turn.js";
import { ExchangeView } from "./view/messages/pane.js";

/** @typedef {import("./turn.js").TurnState} TurnState */
/** @typedef {import("./view/messages/answer.js").AnswerView} AnswerView */

const PAGE = 40;

/**
 * @typedef {object} Surroundings
 * @property {import("./view/messages/pane.js").Pane} pane
 * @property {import("./view/composer.js").Composer} composer
 * @property {import("./speech/speaking.js").Speaking} speaking
 * @property {import("./speech/preference.js").Preference} preference
 * @property {(text: string) => void} announce
 * @property {(text: string, seconds?: number) => void} notify
 * @property {(error: unknown) => void} failed  Something that was asked for did not come.
 * @property {(refusal: ProblemError) => void} holdBack  A limit is reached: nothing can be sent for a while.
 * @property {(link: import("./reader.js").Link|"idle") => void} setLink
 * @property {(id: string) => void} created    The first turn has made the conversation.
 * @property {(id: string) => void} changed    It has a new message or title.
 * @property {() => void} emptied  Its only message was taken back.
 * @property {() => void} isMissing
 */

/** One conversation while it is on the screen. */
export class OpenConversation {
  /** @type {TurnState|null} */
  #turn = null;
  /** @type {AnswerView|null} */
  #answer = null;
  /** @type {Reader|null} */
  #reader = null;
  /** @type {Beacon|null} */
  #beacon = null;
  #isClosed = false;
  #isStopWanted = false;
  #hasLostSight = false;
  #giveUp = new AbortController();
  /** @type {SpokenTurn} */
  #speech;

  /** @param {string} id Empty for a new conversation. @param {Surroundings} around */
  constructor(id, around) {
    this.id = id;
    this.around = around;
    this.#speech = new SpokenTurn(around.speaking, around.preference, {
      now: () => ({ turn: this.#turn, answer: this.#answer }),
      apply: (event) => this.#apply(event),
      reattach: () => this.#reader?.attach(),
    });
  }

  /** Whether an answer is being written; one that is only spoken still does not hold anybody up. */
  get isBusy() {
    return this.#turn !== null && isWriting(this.#turn);
  }

  /** Whether an answer ended on the screen only: its owner is signed out. */
  get hasLostSight() {
    return this.#hasLostSight;
  }

  get #goesOn() {
    return this.#turn !== null && !isFinal(this.#turn);
  }

  /** Leave the screen; a running turn goes on without us. */
  close() {
    this.#isClosed = true;
    this.#giveUp.abort();
    this.#reader?.close();
    this.#beacon?.leave();
    this.around.speaking.stop();
  }

  /** Show the newest messages, and follow the turn that is running. */
  async load() {
    try {
      const [conversation, page] = await Promise.all([
        api.conversation(this.id), api.messages(this.id, null, PAGE),
      ]);
      if (this.#isClosed) return;
      this.#reader?.close();
      this.around.speaking.stop();
      this.#turn = null;
      this.#hasLostSight = false;
      this.#showPage(page);
      await this.#resume(conversation.active_turn_id);
    } catch (error) {
      if (this.#isClosed) return;
      if (error instanceof ProblemError && error.status === 404) this.around.isMissing();
      else this.around.failed(error);
    }
  }

  /** @param {string} text */
  send(text) {
    const exchange = this.#make(text);
    this.around.pane.append(exchange);
    const body = { message: text, ...this.#speech.wish(), ...(this.id ? { conversation_id: this.id } : {}) };
    return this.#start({ key: newKey(), body }, exchange);
  }

  /** Send again, with its key, what a reload interrupted. @param {import("./tabs.js").PendingStart} start */
  repeat(start) {
    const known = start.body.message === undefined ? this.around.pane.last : undefined;
    const exchange = known ?? this.#make(start.body.message ?? "");
    if (!known) this.around.pane.append(exchange);
    return this.#start(start, exchange);
  }

  /** Answer the last message again. */
  retry() {
    const exchange = this.around.pane.last;
    const turnId = this.#turn?.turnId || exchange?.turnId;
    if (!exchange || !turnId || this.isBusy) return;
    const body = { conversation_id: this.id, retry_of: turnId, ...this.#speech.wish() };
    return this.#start({ key: newKey(), body }, exchange);
  }

  /** Stop the answer: nothing more is shown from now on, and the record ends there too. */
  async stop() {
    const turn = this.#turn;
    if (!turn || !isWriting(turn)) return;
    this.around.speaking.stop();
    this.#isStopWanted = true;
    this.#apply({ type: "stop.asked", data: {} });
    if (!turn.turnId) return this.#giveUp.abort();
    try {
      const state = await api.cancelTurn(turn.turnId, turn.cursor);
      if (state?.turn_id === this.#turn?.turnId) this.#apply({ type: "turn.state", data: state });
    } catch (error) {
      this.#apply({ type: "stop.refused", data: {} });
      this.around.notify(`The answer was not stopped. ${sentence(error)}`);
    } finally {
      this.#isStopWanted = false;
    }
  }

  /** No more speech; the text goes on. */
  stopSpeech() {
    this.#speech.stop();
  }

  /** @param {{messages: any[], next: string|null}} page */
  #showPage(page) {
    const { messages, next } = withoutOrphans(page);
    this.around.pane.clear();
    for (const exchange of toExchanges(messages, this.#make)) this.around.pane.append(exchange);
    this.#offerEarlier(next);
  }

  /** @param {string|null} before */
  #offerEarlier(before) {
    const load = async () => {
      try {
        const page = withoutOrphans(await api.messages(this.id, before, PAGE));
        if (this.#isClosed) return;
        this.around.pane.prepend(toExchanges(page.messages, this.#make));
        this.#offerEarlier(page.next);
      } catch (error) {
        this.around.failed(error);
      }
    };
    this.around.pane.setEarlier(before === null ? null : load);
  }

  /** @param {string} text */
  #make = (text) =>
    new ExchangeView(text, {
      retry: () => this.retry(),
      rate: (messageId, rating) => rate(messageId, rating, this.around),
      turnPage: () => {},
      announce: this.around.announce,
      listen: (answer, turn) => this.#speech.listen(answer, turn),
      toggleSpeech: () => this.around.speaking.toggle(),
      skipSpeech: () => this.around.speaking.skip(),
      stopSpeech: () => this.stopSpeech(),
    });

  #waiting = () => {
    this.around.setLink(navigator.onLine ? "reconnecting" : "offline");
    this.#answer?.setWaiting("Waiting for the network…");
  };

  /** A message without an answer has a turn, running or just ended. @param {string|null|undefined} activeTurnId */
  async #resume(activeTurnId) {
    const exchange = this.around.pane.last;
    const turnId = activeTurnId || (exchange && !exchange.answers.length ? exchange.turnId : "");
    this.around.composer.setBusy(false);
    this.around.setLink("idle");
    if (turnId && exchange) await this.#attach(turnId, exchange);
  }

  /** @param {string} turnId @param {ExchangeView} exchange */
  async #attach(turnId, exchange) {
    const state = await api.turn(turnId);
    if (this.#isClosed) return;
    exchange.turnId = turnId;
    this.#beacon?.leave();
    this.#beacon = null; // another tab's turn, or from before a reload: its beginning was not seen
    this.#follow(newTurn({ turnId, conversationId: this.id }), exchange.addAnswer());
    this.#apply({ type: "turn.state", data: state });
    if (this.#goesOn) this.#read();
  }

  /** @param {TurnState} turn @param {AnswerView} answer */
  #follow(turn, answer) {
    this.#reader?.close();
    this.#turn = turn;
    this.#answer = answer;
    this.#isStopWanted = false;
    answer.show(turn);
    this.around.composer.setBusy(isWriting(turn));
  }

  #read() {
    this.around.setLink("connecting");
    this.#reader = new Reader({
      url: () => api.eventsUrl(this.#turn?.turnId ?? "", this.#turn?.cursor ?? "", this.#turn?.keepsAudio),
      onEvent: (event) => this.#apply(event),
      onLink: (link) => { this.around.setLink(link); this.#beacon?.link(link); },
      check: () => this.#check(),
    });
  }

  /** @returns {Promise<boolean>} Whether to read on. */
  async #check() {
    const turnId = this.#turn?.turnId ?? "";
    try {
      const data = await api.turn(turnId);
      if (this.#turn?.turnId === turnId) this.#apply({ type: "turn.state", data });
      return this.#goesOn;
    } catch (error) {
      const isFinalWord = error instanceof ProblemError && [401, 403, 404].includes(error.status);
      if (isFinalWord && this.#turn?.turnId === turnId) this.#loseSight(error);
      return !isFinalWord;
    }
  }

  /** The turn may go on, but not for our eyes. @param {unknown} error */
  #loseSight(error) {
    this.#reader?.close();
    this.#turn = null;
    this.#hasLostSight = true;
    this.#answer?.say(sentence(error));
    this.#settle();
  }

  /** @param {import("./turn.js").TurnEvent} event */
  #apply(event) {
    const before = this.#turn;
    if (!before || this.#isClosed) return;
    const turn = reduce(before, event);
    if (turn === before) return;
    this.#turn = turn;
    this.#beacon?.follow(before, turn);
    if (turn.gap && turn.gap !== before.gap) this.#reader?.attach();
    this.#answer?.show(turn);
    this.#speech.follow(before, turn);
    if (isFinal(turn)) this.#settle();
    else if (isWriting(turn) !== isWriting(before)) this.around.composer.setBusy(isWriting(turn));
  }

  #settle() {
    this.#reader?.close();
    this.around.setLink("idle");
    this.around.composer.setBusy(false);
    if (this.id) this.around.changed(this.id);
  }

  /**
   * @param {import("./tabs.js").PendingStart} start
   * @param {ExchangeView} exchange
   */
  async #start(start, exchange) {
    keepStart(start);
    this.around.speaking.stop();
    this.#apply({ type: "turn.left", data: {} });
    const answer = exchange.addAnswer();
    this.#giveUp = new AbortController();
    this.#beacon = new Beacon();
    this.#follow(newTurn({ keepsAudio: Boolean(start.body.speech) }), answer);
    try {
      const started = await postUntilAnswered(start, this.#giveUp.signal, this.#waiting);
      forgetStart();
      this.#begun(started, exchange);
    } catch (error) {
      if (this.#isClosed) keepDraft(this.id, start.body.message ?? "");
      else await this.#notStarted(error, { start, exchange, answer });
    }
  }

  /**
   * @param {Awaited<ReturnType<typeof api.startTurn>>} started
   * @param {ExchangeView} exchange
   */
  #begun({ turnId, conversationId, isStreaming, state }, exchange) {
    tell({ type: "turn.begun", conversationId, turnId });
    const isNew = !this.id;
    this.id = conversationId;
    if (this.#isClosed) return;
    exchange.turnId = turnId;
    this.#answer?.setWaiting("");
    this.#turn = { ...(this.#turn ?? newTurn()), turnId, conversationId, isStreaming };
    if (isNew) this.around.created(conversationId);
    else this.around.changed(conversationId);
    if (this.#isStopWanted) this.stop();
    if (isStreaming) this.#read();
    if (isStreaming && this.#turn.keepsAudio) this.#speech.begin();
    if (!isStreaming) this.#awaitWhole(turnId, state);
  }

  /**
   * The off arm: the answer comes whole. A cut line is no loss, its log can be read too; so where
   * the worker that answered had to leave the turn to another one.
   *
   * @param {string} turnId @param {Promise<any>} state
   */
  async #awaitWhole(turnId, state) {
    this.#answer?.setWaiting("Writing the whole answer…");
    try {
      const data = await state;
      if (this.#turn?.turnId !== turnId) return;
      this.#apply({ type: "turn.state", data });
      if (this.isBusy) return this.#read();
      if (this.#turn.keepsAudio) this.#speech.beginWhole();
    } catch {
      if (this.#turn?.turnId === turnId && this.isBusy && !this.#isClosed) this.#read();
    }
  }

  /** @param {unknown} error @param {import("./not_started.js").Refused} refused */
  async #notStarted(error, refused) {
    this.#turn = null;
    this.#beacon?.leave();
    this.around.setLink("idle");
    this.around.composer.setBusy(false);
    showNotStarted(error, refused, this.around, () => this.#start(refused.start, refused.exchange));
    if (error instanceof ProblemError && error.code === "turn_running") await this.load();
  }
}
