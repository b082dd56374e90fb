/**
 * What there is to see of a room at one screen, as Svelte sees it: the room, what is held, the view,
 * and what is said to the person. What people do to it is `Studio`'s.
 *
 * Its getters subscribe: a component that reads one is drawn again when that changes.
 */

import { createSubscriber } from "svelte/reactivity";
import { boxToScreen, type Insets } from "../canvas/camera";
import type { Box } from "../canvas/geometry";
import { View } from "../canvas/view";
import {
  type Candidate,
  CLOSE,
  type Frame,
  type JobRecord,
  type RecordId,
} from "../protocol/messages";
import { isAboutPeople } from "../protocol/schema";
import type { RoomClient } from "../sync/room-client";
import { Desk } from "../tools/desk";
import { selectedFrame } from "../tools/frames";
import { Council } from "./council.svelte";
import { Following } from "./following.svelte";
import type { Journey } from "./journey.svelte";
import { speech } from "./language.svelte";
import { Polling } from "./polling.svelte";
import { closingText } from "./reasons";
import { Talk } from "./talk.svelte";

const TOAST_MS = 7_000;
const MAX_TOASTS = 4;
const NARROW_PX = 720;
const PANEL_PX = 344;

export interface Toast {
  readonly id: number;
  readonly text: string;
}

export interface Progress {
  readonly step: number;
  readonly steps: number;
}

export abstract class Sights {
  readonly room: RoomClient;
  readonly council: Council;
  readonly talk: Talk;
  readonly polling: Polling;
  readonly following: Following;
  readonly desk = new Desk();
  readonly view: View;
  /** Going back over what the room was, while that is open. */
  journey = $state.raw<Journey | null>(null);
  /** Whether the layers are shown, where nothing else takes their place. */
  showsLayers = $state.raw(false);
  /** The frame whose prompt should get the focus. */
  promptFor = $state.raw<RecordId | null>(null);
  /** Heights of the tools with their settings, and of the panel of the selected frame. */
  footerPx = $state.raw(0);
  panelPx = $state.raw(0);
  #toasts = $state.raw<readonly Toast[]>([]);
  #lastToast = 0;

  readonly #onStatus: () => void;
  readonly #onPeople: () => void;
  readonly #onRecords: () => void;
  readonly #onHeld: () => void;
  readonly #onDraw: () => void;

  constructor(room: RoomClient, container: HTMLElement) {
    this.room = room;
    this.council = new Council(room);
    this.talk = new Talk(room);
    this.polling = new Polling(room);
    this.view = new View(room, this.desk, container);
    this.following = new Following(room, this.view);
    this.#onStatus = createSubscriber((update) => room.on("status", update));
    this.#onPeople = createSubscriber((update) => room.on("people", update));
    this.#onRecords = createSubscriber((update) => room.on("records", update));
    this.#onHeld = createSubscriber((update) => this.desk.onHeld(update));
    this.#onDraw = createSubscriber((update) => this.view.onDraw(update));
  }

  get connection() {
    this.#onStatus();
    const { connection, connectionReason, closeCode, unsaved } = this.room;
    const reason = connectionReason && closingText(speech.words, closeCode, navigator.onLine);
    return { state: connection, reason, code: closeCode, unsaved };
  }

  /** Why nothing can be saved, or null. */
  get diskTrouble(): "full" | "failing" | null {
    this.#onStatus();
    const { connection, closeCode, disk } = this.room;
    if (connection === "online") return disk === "ok" ? null : disk;
    // Closed because of the disk, and coming back to hear more.
    if (connection !== "offline" || closeCode !== CLOSE.cannotSave) return null;
    return disk === "ok" ? "failing" : disk;
  }

  get canUndo(): boolean {
    this.#onStatus();
    return this.room.canUndo;
  }

  get canRedo(): boolean {
    this.#onStatus();
    return this.room.canRedo;
  }

  get engine() {
    this.#onStatus();
    return this.room.engine;
  }

  get model() {
    this.#onStatus();
    return this.room.model;
  }

  get me() {
    this.#onStatus();
    this.#onPeople();
    const { name, color } = this.room;
    return { name, color };
  }

  get peers() {
    this.#onPeople();
    return [...this.room.peers.values()];
  }

  /** What somebody is called who is here; "" for all others. */
  nameOf(person: string): string {
    if (person === this.room.person) return this.me.name;
    return this.peers.find((peer) => peer.person === person)?.name ?? "";
  }

  get isEmpty(): boolean {
    this.#onRecords();
    for (const record of this.room.records.values()) {
      const isApart = ["layer", "chat", "version"].includes(record.type);
      if (!isApart && !isAboutPeople(record)) return false;
    }
    return true;
  }

  /** Desk, for reading what is held. */
  get held(): Desk {
    this.#onHeld();
    return this.desk;
  }

  /** The only selected frame. */
  get frame(): Frame | undefined {
    this.#onHeld();
    this.#onRecords();
    return selectedFrame({ desk: this.desk, view: this.view });
  }

  /** Frames that have pictures to choose from or in the making. */
  get framesWithPictures(): Frame[] {
    this.#onRecords();
    const { gallery } = this.view;
    return gallery.frames.filter(
      ({ id }) => gallery.openCandidates(id).length > 0 || gallery.isBusy(id),
    );
  }

  candidates(frame: RecordId): Candidate[] {
    this.#onRecords();
    return this.view.gallery.openCandidates(frame);
  }

  chosen(frame: RecordId): Candidate | undefined {
    this.#onRecords();
    this.#onDraw();
    return this.view.gallery.chosen(frame);
  }

  isHidden(frame: RecordId): boolean {
    this.#onDraw();
    return this.view.gallery.isHidden(frame);
  }

  job(frame: RecordId): JobRecord | undefined {
    this.#onRecords();
    return this.view.gallery.jobOf(frame);
  }

  isBusy(frame: RecordId): boolean {
    this.#onRecords();
    return this.view.gallery.isBusy(frame);
  }

  hasMask(frame: RecordId): boolean {
    this.#onRecords();
    return this.view.gallery.masksOf(frame).length > 0;
  }

  /** How far the picture of this number has come; null before its first preview. */
  progress(frame: RecordId, index?: number): Progress | null {
    this.#onDraw();
    const young = this.view.emerging
      .of(frame)
      .find((one) => index === undefined || one.index === index);
    return young ? { step: young.step, steps: young.steps } : null;
  }

  get zoom(): number {
    this.#onDraw();
    return this.view.camera.zoom;
  }

  /** Where on the screen a part of the canvas is. */
  onScreen(box: Box): Box {
    this.#onDraw();
    return boxToScreen(this.view.camera, box);
  }

  get size() {
    this.#onDraw();
    return this.view.size;
  }

  get toasts(): readonly Toast[] {
    return this.#toasts;
  }

  /** Whether the panel of the selected frame lies above the tools, not beside the canvas. */
  get isNarrow(): boolean {
    return this.size.width < NARROW_PX;
  }

  /** What the panels cover. */
  get insets(): Insets {
    if (this.isNarrow) return { top: 84, right: 20, bottom: 340, left: 20 };
    return { top: 88, right: this.frame ? PANEL_PX + 24 : 40, bottom: 150, left: 40 };
  }

  say(text: string): void {
    const toast = { id: ++this.#lastToast, text };
    const others = this.#toasts.filter((other) => other.text !== text);
    this.#toasts = [...others, toast].slice(-MAX_TOASTS);
    setTimeout(() => this.dismiss(toast.id), TOAST_MS);
  }

  dismiss(id: number): void {
    this.#toasts = this.#toasts.filter((toast) => toast.id !== id);
  }
}
