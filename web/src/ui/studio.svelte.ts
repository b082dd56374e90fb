/** One open room at one screen: room, desk, view and tools wired together, and what people do. */

import { fitted, toCanvas, visibleBox, zoomedAt } from "../canvas/camera";
import { type Box, boxCenter, type Point, unionBoxes } from "../canvas/geometry";
import { notesIn, recordsIn } from "../canvas/hit";
import type { Candidate, Comment, Frame, RecordId } from "../protocol/messages";
import type { RoomClient } from "../sync/room-client";
import { InkTool } from "../tools/brush";
import type { ToolName } from "../tools/desk";
import { FrameTool, placeFrame, usualSize } from "../tools/frames";
import { LaserTool } from "../tools/laser";
import { PanTool } from "../tools/pan";
import { placePictures } from "../tools/placing";
import { Pointers } from "../tools/pointers";
import { deleteSelection, SelectTool } from "../tools/select";
import { PlaceTool } from "../tools/sticking";
import type { Bench, Tool } from "../tools/tool";
import { Journey } from "./journey.svelte";
import { listenToKeys } from "./keyboard";
import { speech } from "./language.svelte";
import { errorText, refusalText } from "./reasons";
import { Sights } from "./sights.svelte";

/** What is seen of an empty canvas. */
const START: Box = { x: -512, y: -384, w: 1024, h: 768 };

export class Studio extends Sights {
  readonly selecting: SelectTool;
  readonly tools: Readonly<Record<ToolName, Tool>>;
  readonly #pointers: Pointers;
  readonly #stops: (() => void)[] = [];
  /** The tool of somebody who may only watch at the moment; null for all others. */
  #heldBefore: ToolName | null = null;

  constructor(room: RoomClient, container: HTMLElement) {
    super(room, container);
    const bench: Bench = {
      room,
      desk: this.desk,
      view: this.view,
      tell: (message) => this.say(speech.words[message]),
      framed: (frame) => {
        this.promptFor = frame;
      },
    };
    this.selecting = new SelectTool(bench);
    this.tools = {
      select: this.selecting,
      pan: new PanTool(bench),
      brush: new InkTool(bench, "brush"),
      eraser: new InkTool(bench, "eraser"),
      mask: new InkTool(bench, "mask"),
      frame: new FrameTool(bench),
      note: new PlaceTool((at) => this.#stick(at)),
      laser: new LaserTool(bench),
      comment: new PlaceTool((at) => this.#beginThread(at)),
    };
    this.#pointers = new Pointers(this.view.element, {
      view: this.view,
      tool: () => this.tools[this.desk.tool],
      setCursor: (at) => room.setCursor(at ? [at.x, at.y] : null, this.desk.tool),
    });
    this.#listen();
    this.#startInTheMiddle();
    this.#introduce();
  }

  // --- what people do -----------------------------------------------------------------------

  /** Take another tool; what is being drawn with the one before it is kept. */
  pick(tool: ToolName): void {
    if (!this.mayHold(tool)) return;
    this.#pointers.finish();
    this.desk.tool = tool;
    this.#pointers.updateCursor();
  }

  mayHold(tool: ToolName): boolean {
    if (tool === "comment") return this.talk.mayTalk;
    return tool === "pan" || tool === "laser" || this.council.mayChange;
  }

  set isSpaceDown(isDown: boolean) {
    this.#pointers.isSpaceDown = isDown;
  }

  /** Give up what is being done; else put the frame tool away; else select nothing. */
  escape(): void {
    if (this.#pointers.abandon()) return;
    if (this.talk.draft || this.talk.thread) this.closeThread();
    else if (!["pan", "select", "brush", "eraser"].includes(this.desk.tool)) this.pick("select");
    else this.desk.select([]);
  }

  closeThread(): void {
    this.talk.thread = null;
    this.talk.draft = null;
  }

  /** Open a thread and see where it is pinned. */
  visitThread({ id, x, y }: Comment): void {
    this.closeThread();
    this.talk.thread = id;
    // On a phone the thread takes the place of the list.
    if (this.isNarrow) this.talk.show(null);
    const { width, height } = this.view.size;
    const { zoom } = this.view.camera;
    const down = this.isNarrow ? 0.22 : 0.4;
    this.view.flyTo({ x: x - width / 2 / zoom, y: y - (height * down) / zoom, zoom });
  }

  selectAll(): void {
    const box = this.#contentBox();
    if (!box) return;
    this.pick("select");
    const drawn = recordsIn(this.view.scene, this.view.gallery.frames, box);
    this.desk.select([...drawn, ...notesIn(this.room.records.values(), box)]);
  }

  /** Show the picture before or after the one that is shown. */
  step(chosen: Candidate, by: 1 | -1): void {
    const open = this.view.gallery.openCandidates(chosen.frame);
    const at = open.findIndex(({ id }) => id === chosen.id);
    const next = open[(at + by + open.length) % open.length];
    if (next) this.choose(chosen.frame, next.id);
  }

  patchFrame(frame: RecordId, fields: Partial<Frame>): void {
    this.room.submit([{ c: "patch", id: frame, fields }]);
  }

  clearMask(frame: RecordId): void {
    const masks = this.view.gallery.masksOf(frame);
    if (masks.length > 0) this.room.submit(masks.map(({ id }) => ({ c: "delete", id })));
  }

  choose(frame: RecordId, candidate: RecordId): void {
    this.view.gallery.choose(frame, candidate);
    this.view.refresh();
  }

  peek(frame: RecordId, isHidden: boolean): void {
    this.view.gallery.setHidden(frame, isHidden);
    this.view.refresh();
  }

  accept(candidate: RecordId): void {
    this.room.accept(candidate);
  }

  discard(candidate: RecordId): void {
    this.room.discard(candidate);
  }

  discardAll(frame: RecordId): void {
    for (const { id } of this.candidates(frame)) this.room.discard(id);
  }

  deleteSelection(): void {
    deleteSelection({ desk: this.desk, room: this.room, view: this.view });
  }

  /** A frame in the middle of what is seen, with this prompt; its picture is started at once. */
  tryPrompt(prompt: string): void {
    const { w, h } = usualSize("1:1");
    const { x, y } = this.#middle();
    const box = { x: x - w / 2, y: y - h / 2, w, h };
    const id = placeFrame(this.room, this.view, box, { prompt });
    this.pick("select");
    this.desk.select([id]);
    this.room.generate(id);
    this.view.fit(this.insets, box);
  }

  /** Look at what the room was before. */
  async goBack(): Promise<void> {
    try {
      this.journey = new Journey(this.room, await this.room.past());
    } catch (error) {
      this.say(`${speech.words.historyFailed} ${errorText(speech.words, error)}`.trim());
    }
  }

  async addPictures(files: readonly Blob[], at?: Point): Promise<void> {
    if (files.length === 0) return;
    const seen = visibleBox(this.view.camera, this.view.size);
    const bench = { room: this.room, view: this.view, desk: this.desk };
    try {
      await placePictures(bench, files, at ?? this.#middle(), seen);
    } catch (error) {
      this.say(`${speech.words.pictureFailed} ${errorText(speech.words, error)}`.trim());
    }
  }

  /** The canvas point under a place in the window. */
  pointAt(clientX: number, clientY: number): Point {
    const { left, top } = this.view.element.getBoundingClientRect();
    return toCanvas(this.view.camera, { x: clientX - left, y: clientY - top });
  }

  zoomBy(factor: number): void {
    const { width, height } = this.view.size;
    const { camera } = this.view;
    this.view.flyTo(zoomedAt(camera, { x: width / 2, y: height / 2 }, camera.zoom * factor));
  }

  zoomActual(): void {
    this.zoomBy(1 / this.view.camera.zoom);
  }

  zoomFit(): void {
    this.view.fit(this.insets, this.#contentBox());
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#pointers.close();
    this.talk.close();
    this.following.close();
    this.view.close();
  }

  #listen(): void {
    this.#stops.push(
      listenToKeys(this),
      this.room.on("refused", (code, reason) => this.say(refusalText(speech.words, code, reason))),
      this.room.on("restored", () => this.say(speech.words.restored)),
      this.room.on("status", () => this.#followRole()),
      this.room.on("records", () => this.#forgetDeleted()),
    );
    this.#pointers.updateCursor();
  }

  /** Whoever may only watch holds nothing; what they held is there again afterwards. */
  #followRole(): void {
    if (this.room.mayChange === (this.#heldBefore === null)) return;
    if (this.#heldBefore === null) {
      this.#heldBefore = this.desk.tool;
      this.#pointers.abandon();
      this.desk.select([]);
      this.pick("pan");
    } else {
      const tool = this.#heldBefore;
      this.#heldBefore = null;
      this.pick(tool);
    }
  }

  #stick(at: Point): void {
    const note = this.talk.stick(at);
    this.pick("select");
    this.desk.select([note]);
  }

  #beginThread(at: Point): void {
    this.closeThread();
    this.talk.draft = at;
    this.pick(this.room.mayChange ? "select" : "pan");
  }

  #startInTheMiddle(): void {
    const { width, height } = this.view.size;
    this.view.look({ x: -width / 2, y: -height / 2, zoom: 1 });
    const box = () => this.#contentBox();
    const show = () => this.view.look(fitted(box() ?? START, this.view.size, this.insets));
    if (!this.isEmpty) show();
    if (this.room.connection === "online") return;
    // Somebody who joins a canvas that is in use sees what is there, unless they have begun.
    const stop = this.room.on("status", () => {
      if (this.room.connection !== "online") return;
      stop();
      if (!this.isEmpty && this.desk.ink === null && !this.room.unsaved) show();
    });
    this.#stops.push(stop);
  }

  /** Somebody new gets a name that others can call them by, until they choose their own. */
  #introduce(): void {
    const { animals } = speech.words;
    const name = animals[Math.floor(Math.random() * animals.length)];
    if (this.room.name === "" && name) this.room.setProfile(name, this.room.color);
  }

  /** Around all that lies on the canvas, what is stuck and pinned to it too. */
  #contentBox(): Box | null {
    const boxes = [...this.talk.boxes];
    const drawn = this.view.contentBox();
    if (drawn) boxes.push(drawn);
    return unionBoxes(boxes);
  }

  #middle(): Point {
    return boxCenter(visibleBox(this.view.camera, this.view.size));
  }

  #forgetDeleted(): void {
    const { selection } = this.desk;
    const kept = [...selection].filter((id) => this.room.records.has(id));
    if (kept.length < selection.size) this.desk.select(kept);
    const { layer } = this.desk;
    if (layer !== null && !this.room.records.has(layer)) this.desk.layer = null;
  }
}
