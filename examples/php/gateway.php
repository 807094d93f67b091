<?php
// What an app needs to talk to ws-gateway, whatever it does: copy this file.
declare(strict_types=1);

// signed says whether $header, X-Ws-Signature, signs $body: the bytes, before anything has parsed them.
function signed(string $header, string $body): bool
{
    $secret = getenv('CALLBACK_SECRET') ?: 'change me';
    $stamp = '';
    $matches = false;
    foreach (explode(',', $header) as $part) {
        [$name, $value] = explode('=', $part, 2) + ['', ''];
        if ($name === 't') {
            $stamp = $value;
        } elseif ($name === 'v1') { // several while the secret is changed
            $matches = hash_equals(hash_hmac('sha256', "$stamp.$body", $secret), $value) || $matches;
        }
    }
    return $matches && ctype_digit($stamp) && abs(time() - (int) $stamp) < 300;
}

// call posts a command, such as conn/send, and throws unless it was done. Its time is shorter than the gateway's
// --callback-timeout, so that two attempts of an event do not overlap.
function call(string $route, array $command): void
{
    $gateway = getenv('GATEWAY') ?: 'http://127.0.0.1:40010';
    $answer = file_get_contents("$gateway/tapr/ws/$route", false, stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => json_encode($command, JSON_THROW_ON_ERROR),
        'timeout' => 5,
    ]]));
    $answer = json_decode((string) $answer, flags: JSON_THROW_ON_ERROR);
    if ($answer->code !== 0) {
        throw new RuntimeException("$route: $answer->message ($answer->code)");
    }
}

// once acts unless that has been done for this X-Request-Id: an event comes again if its answer was lost. APCu is the
// memory that all workers of one PHP share. It forgets after an hour, and when it is full.
function once(string $id, callable $act): void
{
    if (apcu_exists($id)) {
        return;
    }
    $act();
    apcu_store($id, true, 3600);
}
