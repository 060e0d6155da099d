"""The signal by which an engine is told to end its flow: it must not hit the flow on its way out."""

import os
import threading


class Interrupt:
    def __init__(self, number):
        self._number = number
        self._lock = threading.Lock()
        self._leaving = False
        self._put_off = False

    def send(self):
        with self._lock:
            if self._leaving:
                self._put_off = True
            else:
                os.kill(os.getpid(), self._number)

    def leave(self):
        """From now on none is sent. One that is underway is heard here at the latest, and is of no use any more."""
        try:
            with self._lock:
                self._leaving = True
        except BaseException:
            self._leaving = True

    def come_back(self):
        """It was not the end: what was put off is sent now."""
        with self._lock:
            self._leaving = False
            put_off, self._put_off = self._put_off, False
        if put_off:
            self.send()
