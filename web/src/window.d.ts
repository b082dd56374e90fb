import type { View } from "./canvas/view";
import type { RoomClient } from "./sync/room-client";

declare global {
  interface Window {
    /** For tests and for looking into a running page: the open room and what is drawn of it. */
    __atelier?: { readonly room: RoomClient; readonly view: View };
  }
}
