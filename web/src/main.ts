/** Opens the room that the page's address names, and shows it. */

import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { openRoom } from "./net/open-room";
import { entryOf } from "./net/ticket";

const target = document.getElementById("app");
if (!target) throw new Error("expected an element with the id app in index.html");

const roomId = location.pathname.split("/")[2] ?? "";
const room = openRoom({ roomId, entry: entryOf(location.hash) });
mount(App, { target, props: { room } });
// Another link to the same room is another way in.
addEventListener("hashchange", () => location.reload());
