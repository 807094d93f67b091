<?php
// A chat behind ws-gateway, in PHP.
declare(strict_types=1);

require __DIR__ . '/gateway.php';

try {
    match ($_SERVER['REQUEST_METHOD'] . ' ' . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
        'GET /' => readfile(__DIR__ . '/../page.html'),
        'POST /login' => login(),
        'POST /ws/message' => callback(),
        default => http_response_code(404),
    };
} catch (Throwable $error) { // with display_errors PHP would answer 200: the gateway is to send the event again
    error_log((string) $error);
    http_response_code(500);
}

// login stands for yours: it believes everybody.
function login(): void
{
    $user = $_POST['user'] ?? '';
    if (!is_string($user) || !preg_match('/^[a-z0-9]{1,20}$/D', $user)) {
        http_response_code(400);
        echo "a user's name has 1 to 20 of a-z and 0-9";
        return;
    }
    session_start(['cookie_samesite' => 'Lax', 'cookie_httponly' => true]);
    session_regenerate_id(true);
    $_SESSION['user'] = $user;
    http_response_code(204);
}

function callback(): void
{
    $body = file_get_contents('php://input');
    if (!signed($_SERVER['HTTP_X_WS_SIGNATURE'] ?? '', $body)) {
        http_response_code(503);
        header('X-Ws-Error: signature');
        return;
    }
    $event = json_decode($body, flags: JSON_THROW_ON_ERROR); // to objects: with arrays {} would become []
    $id = $_SERVER['HTTP_X_REQUEST_ID'];
    match ($event->action) {
        'open' => open(),
        'message' => message($id, $event->user_name, $event->data),
        'close' => send($id, 'lobby', 'gone', ['user' => $event->user_name]),
    };
}

// open decides who may connect: the cookies are the client's, so its session is there. It is closed at once, because
// it is locked while it is open.
function open(): void
{
    if (isset($_COOKIE[session_name()])) {
        session_start(['read_and_close' => true, 'use_strict_mode' => true]);
    }
    $user = $_SESSION['user'] ?? null;
    if ($user === null) {
        http_response_code(401);
        echo 'log in first';
        return;
    }
    header("X-Ws-User: $user");
    header('X-Ws-Join: lobby');
    reply('welcome', ['user' => $user]);
}

function message(string $id, string $user, mixed $said): void
{
    $event = $said->event ?? null;
    $room = $said->data->room ?? null;
    $text = $said->data->text ?? null;
    if ($event === 'echo') {
        reply('echo', $said->data ?? null);
    } elseif (!is_string($room) || !preg_match('/^[^\p{Cc}]{1,60}$/Du', $room)) {
        reply('error', ['text' => 'say join, leave or say, and a room']);
    } elseif ($event === 'join') {
        send($id, $room, 'came', ['room' => $room, 'user' => $user]);
        header('X-Ws-Join: ' . rawurlencode($room));
        reply('joined', ['room' => $room]);
    } elseif ($event === 'leave') {
        header('X-Ws-Leave: ' . rawurlencode($room));
        reply('left', ['room' => $room]);
    } elseif ($event === 'say' && is_string($text)) {
        send($id, $room, 'said', ['room' => $room, 'user' => $user, 'text' => $text]);
    } else {
        reply('error', ['text' => 'say join, leave or say, and a room']);
    }
}

// send says something to all who are in a room, once for each event.
function send(string $id, string $room, string $event, array $data): void
{
    once($id, fn () => call('conn/send', ['groups' => [$room], 'payload' => ['event' => $event, 'data' => $data]]));
}

// reply answers the gateway with what it is to send to the client.
function reply(string $event, mixed $data): void
{
    header('Content-Type: application/json');
    echo json_encode(['event' => $event, 'data' => $data], JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE);
}
